import pytest

from aent.errors import InputError
from aent.tasks import Lists
from aent.tasks.generated.lists import OPERATIONS

ROW = {"start": "dbca", "operations": ["sort", "rotate"], "answer": "bcda"}


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        ("sort", "abbd"),
        ("reverse", "badb"),
        ("unique", "bda"),
        ("rotate", "dabb"),
        ("swap", "bdab"),
    ],
)
def test_operations(operation, result):
    assert OPERATIONS[operation]("bdab") == result


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_single_letter_is_left_alone(operation):
    assert OPERATIONS[operation]("b") == "b"


def test_gold_of_a_list_that_shrinks_to_one_letter():
    row = {"start": "bb", "operations": ["unique", "swap"], "answer": "b"}
    assert Lists().gold(row) == "b>b"
    assert [Lists().score(completion, row) for completion in ("b>b", "b>bb")] == [1.0, 0.0]


def test_no_problem_of_two_equal_letters_doubles_one():
    """Of `unique` and operations that only reorder, the letters that are left are those that were there."""
    rows = Lists(operations=3, length=2, letters=2, train_size=200, test_size=10).dataset("train")
    shrunk = [row for row in rows if len(set(row["start"])) == 1 and "unique" in row["operations"]]
    assert any(row["operations"].index("unique") < 2 and row["operations"][-1] == "swap" for row in shrunk)
    assert all(len(row["answer"]) == 1 for row in shrunk)


@pytest.mark.parametrize(
    ("completion", "reward"),
    [
        ("bcda", 1.0),
        ("abcd>bcda", 1.0),
        ("zzz>bcda ", 1.0),  # only the last list counts
        ("abcd", 0.0),
        ("bcda>abcd", 0.0),
        ("b c d a", 0.0),
        ("BCDA", 0.0),
        ("", 0.0),
        (">", 0.0),
    ],
)
def test_reward(completion, reward):
    assert Lists().score(completion, ROW) == reward


def test_gold_shows_every_list():
    assert Lists().gold(ROW) == "abcd>bcda"


def test_vote():
    assert Lists().answer("abcd>bcda") == "bcda"
    assert Lists().answer("abcd>") is None
    assert Lists().answer("3") is None


def _truth(prompt):
    names, letters = prompt.rstrip("=").split(" ")
    for name in names.split(","):
        letters = OPERATIONS[name](letters)
    return letters


def _right(task):
    shown = task.demonstrations(2000, seed=0)
    pairs = zip(shown["prompt"], shown["completion"], strict=True)
    return sum(task.score(c, {"answer": _truth(p)}) for p, c in pairs) / 2000


def test_without_noise_every_demonstration_is_right():
    assert _right(Lists(noise=0.0)) == 1.0


def test_noise_makes_the_stated_share_wrong():
    # 0.7 ** 2 = 0.49; `sort` and the like rarely undo a wrong letter. Five standard errors: 0.056.
    assert 0.43 < _right(Lists(noise=0.3)) < 0.57


def test_demonstrations_show_the_way_or_not():
    shown = Lists(noise=0.0).demonstrations(100)["completion"]
    assert 20 < sum(">" in completion for completion in shown) < 80


def test_difficulty():
    row = Lists(operations=3, length=8, letters=3, train_size=2, test_size=2).dataset("train")[0]
    assert len(row["operations"]) == 3
    assert len(row["start"]) == 8
    assert set(row["start"]) <= set("abc")


@pytest.mark.parametrize("fields", [{"operations": 0}, {"length": 1}, {"letters": 27}, {"noise": -0.1}])
def test_fields_out_of_range(fields):
    with pytest.raises(InputError, match=rf"{next(iter(fields))}=.* is out of range"):
        Lists(**fields)
