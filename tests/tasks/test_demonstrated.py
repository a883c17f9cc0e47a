from aent.tasks import Countdown, ReasoningGym, completion_room


def test_only_a_policy_made_from_scratch_is_held_to_the_length_of_gold_answers():
    task = ReasoningGym(source="lcm", config={"max_value": 30}, train_size=50, test_size=50)
    assert task.max_length == 3  # the largest is 29 * 30 = 870
    assert completion_room(task, made=True) == 4
    assert completion_room(task, made=False) == 256
    assert completion_room(task, made=False, otherwise=512) == 512
    assert completion_room(Countdown(), made=False) == Countdown().max_length + 1
