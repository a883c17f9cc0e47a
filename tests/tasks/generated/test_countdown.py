import pytest

from aent.errors import InputError
from aent.tasks import Countdown
from aent.tasks.generated.expressions import parse

ROW = {"numbers": [3, 5, 7], "target": 22}


@pytest.mark.parametrize(
    ("completion", "reward"),
    [
        ("3*5+7", 1.0),  # 15 + 7
        ("(3*5)+7", 1.0),
        ("7+5*3", 1.0),
        (" 7 + (5*3)\n", 1.0),
        ("3*5+8", 0.0),  # 23, and 8 is not given
        ("3*7+1", 0.0),  # 22, but not from these numbers
        ("22", 0.0),
        ("3*5+7+0", 0.0),  # 22, with a number too many
        ("3*5*7", 0.0),  # the numbers, but 105
        ("5+5+5+7", 0.0),
        ("3*5+7=22", 0.0),
        ("35-7-3-3", 0.0),
        ("", 0.0),
        ("9**9**9", 0.0),
        ("__import__('os')", 0.0),
    ],
)
def test_reward(completion, reward):
    assert Countdown().score(completion, ROW) == reward


def test_a_number_given_twice_is_used_twice():
    row = {"numbers": [4, 4, 2], "target": 16}
    assert Countdown().score("4*(4*2-4)", row) == 0.0  # 16, with three fours
    assert Countdown().score("4*2*2", row) == 0.0
    assert Countdown().score("4*4*2", {"numbers": [4, 4, 2], "target": 32}) == 1.0


def test_vote():
    task = Countdown()
    assert task.answer(" 3*5 + 7\n") == "3*5+7"
    assert task.answer("3*5 and 7") is None


def test_the_wrong_answer_is_wrong_where_the_sum_is_right():
    task = Countdown()
    assert task.wrong({"numbers": [1, 2, 3], "target": 6}) == "1+2-3"
    assert task.wrong({"numbers": [1, 2, 3], "target": 9}) == "1+2+3"


def test_problems_read_as_documented():
    row = Countdown(test_size=1).dataset("test")[0]
    assert row["prompt"] == f"{','.join(map(str, row['numbers']))} {row['target']}="
    assert 1 <= row["target"] <= 99


def test_every_demonstration_is_a_solution_and_they_differ():
    task = Countdown()
    shown = task.demonstrations(3000, seed=1)
    solutions: dict[str, set[str]] = {}
    for prompt, completion in zip(shown["prompt"], shown["completion"], strict=True):
        numbers, target = prompt.rstrip("=").split(" ")
        row = {"numbers": [int(n) for n in numbers.split(",")], "target": int(target)}
        assert task.score(completion, row) == 1.0
        solutions.setdefault(task.key(row), set()).add(completion)
    several = sum(len(found) > 1 for found in solutions.values())
    assert several > len(solutions) / 4  # of 3000 draws over some 1500 problems


@pytest.mark.parametrize("numbers", [2, 3, 4, 6])
def test_difficulty(numbers):
    task = Countdown(numbers=numbers, low=2, high=12, train_size=5, test_size=5, max_target=500)
    row = task.dataset("train")[0]
    assert len(row["numbers"]) == numbers
    assert all(2 <= n <= 12 for n in row["numbers"])
    expression = parse(row["solution"])
    assert expression is not None
    assert expression.value == row["target"]
    assert task.validate() == 5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"numbers": 1}, "numbers=1 is out of range; it must be from 2 to 8"),
        ({"low": 0}, "low=0 is out of range; it must be at least 1"),
        ({"low": 5, "high": 4}, "high=4 is out of range; it must be from low=5 to 999"),
        ({"max_target": 0}, "max_target=0 is out of range"),
        ({"train_size": 0}, "train_size=0 is out of range"),
    ],
)
def test_fields_out_of_range(fields, message):
    with pytest.raises(InputError, match=message):
        Countdown(**fields)
