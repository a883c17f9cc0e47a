import pytest

from aent.errors import InputError
from aent.tasks import Words, load_task
from aent.tasks.generated.words import STORIES

ROW = {"answer": 12, "story": "boxes", "numbers": [3, 4]}


@pytest.mark.parametrize(
    ("completion", "reward"),
    [
        ("12", 1.0),
        ("3 * 4 = 12", 1.0),
        ("There are 12 eggs.", 1.0),
        ("There are **12**.", 1.0),
        ("\\boxed{12}", 1.0),
        ("$12.00", 1.0),
        ("= 3 * 4\n= 12\n", 1.0),
        ("Tom has 12", 1.0),
        ("The answer is 12. There are 3 boxes", 0.0),  # the last number counts
        ("Tom has 3 boxes with 4 eggs", 0.0),
        ("1,200", 0.0),
        ("120", 0.0),
        ("-12", 0.0),
        ("12.5", 0.0),
        ("3 * 12", 0.0),  # cut off in the middle of a calculation
        ("3 times 12", 0.0),
        ("20 - 12", 0.0),
        ("12 * 3", 0.0),
        ("12 *", 0.0),
        ("12 + ", 0.0),
        ("12/", 0.0),
        ("24/12", 0.0),
        ("12%", 0.0),
        ("1" * 10_000, 0.0),
        ("twelve", 0.0),
        ("", 0.0),
    ],
)
def test_reward(completion, reward):
    assert Words().score(completion, ROW) == reward


def test_votes_are_numbers():
    assert Words().answer("so 1,200 eggs") == Words().answer("1200.0") == "1200"
    assert Words().answer("= -4") == "-4"
    assert Words().answer("10 - 4") is None


def test_gold_and_wrong():
    assert Words().gold(ROW) == "3 * 4 = 12"
    assert Words().wrong(ROW) == "13"
    for steps in range(3):
        task = Words(steps=steps, train_size=60, test_size=20)
        assert task.validate("train") == 60
        assert task.validate("test") == 20


# By hand, from the texts.
TRUTH = {
    "times": ([6, 7], 42), "product": ([6, 7], 42), "boxes": ([3, 4], 12), "buys": ([5, 6], 11),
    "gives": ([9, 4], 5), "boxes-and-more": ([3, 4, 5], 17), "boxes-and-gives": ([3, 4, 5], 7),
    "buys-and-gives": ([5, 6, 4], 7),
}  # fmt: skip


@pytest.mark.parametrize("kind", STORIES)
def test_every_story_and_its_working(kind):
    numbers, answer = TRUTH[kind]
    story = STORIES[kind]
    assert story.answer(*numbers) == answer
    assert eval(story.working.format(*numbers)) == answer
    assert len(numbers) == story.factors + story.addends


def test_the_answer_never_stands_in_the_question():
    for row in Words(steps=2).dataset("train"):
        assert row["answer"] not in row["numbers"]
        assert row["answer"] > 0
        question = row["prompt"][-1]["content"]
        assert all(str(number) in question for number in row["numbers"])
        assert Words().score(question, row) == 0


def test_no_numbers_of_a_test_problem_occur_in_train_in_the_same_story():
    def places(split, seed):
        rows = Words(steps=2, seed=seed, train_size=500, test_size=150).dataset(split)
        kinds = {"product": "times"}
        return {(kinds.get(row["story"], row["story"]), *row["numbers"]) for row in rows}

    assert not (places("train", 0) | places("train", 1)) & (places("test", 0) | places("test", 2))


def test_prompts_are_conversations_unless_told_otherwise():
    task = Words(train_size=1, test_size=1)
    (message,) = task.dataset("test")[0]["prompt"]
    assert message["role"] == "user"
    assert message["content"].endswith("? Answer with the number only.")
    plain = load_task("words", train_size=1, test_size=1, chat=False, template="Q: {question}\nA:")
    assert plain.dataset("test")[0]["prompt"].startswith("Q: ")
    with pytest.raises(InputError, match="a policy from scratch is trained on bare problems"):
        task.demonstrations(1)


def test_demonstrations_are_right_and_covered():
    task = Words(steps=2, chat=False, template=None)
    shown = task.demonstrations(300)
    for prompt, completion in zip(shown["prompt"], shown["completion"], strict=True):
        assert set(prompt + completion) <= set(task.alphabet)
        assert len(completion) <= task.max_length
    assert 90 < sum("=" in completion for completion in shown["completion"]) < 210


def test_difficulty():
    rows = Words(steps=2, high=500, factor=30).dataset("train")
    kinds = set(rows["story"])
    assert kinds == set(STORIES)
    assert max(max(numbers) for numbers in rows["numbers"]) > 100
    assert set(Words(steps=0, train_size=40, test_size=10).dataset("train")["story"]) == {"times", "product"}


@pytest.mark.parametrize("fields", [{"steps": 3}, {"high": 2}, {"factor": 1000}])
def test_fields_out_of_range(fields):
    with pytest.raises(InputError, match=rf"{next(iter(fields))}=.* is out of range"):
        Words(**fields)
