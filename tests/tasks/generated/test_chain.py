import pytest

from aent.errors import InputError
from aent.tasks import Chain

# 7+5=12, *3=36, -4=32
ROW = {"start": 7, "operators": ["+", "*", "-"], "operands": [5, 3, 4], "answer": 32}


@pytest.mark.parametrize(
    ("completion", "reward"),
    [
        ("12,36,32#32", 1.0),
        ("#32", 1.0),
        ("nonsense#32", 1.0),  # only the answer counts
        ("12,36,32# 032 \n", 1.0),
        ("12,36,32#31", 0.0),
        ("12,36,32", 0.0),
        ("32#12", 0.0),
        ("#31#32", 1.0),
        ("#32#31", 0.0),
        ("#32.0", 0.0),
        ("#-32", 0.0),
        ("#３２", 0.0),
        ("#" + "9" * 10_000, 0.0),
        ("", 0.0),
    ],
)
def test_reward(completion, reward):
    assert Chain().score(completion, ROW) == reward


def test_gold_shows_the_working():
    assert Chain(modulus=100).gold(ROW) == "12,36,32#32"


def test_results_wrap_at_the_modulus():
    # 2-5=-3 is 7 modulo 10, times 4 is 28, which is 8
    row = {"start": 2, "operators": ["-", "*"], "operands": [5, 4], "answer": 8}
    assert Chain(modulus=10).gold(row) == "7,8#8"


def test_wrong_stays_below_the_modulus():
    assert Chain(modulus=10).wrong({"answer": 9}) == "#0"


def test_vote():
    assert Chain().answer("12,36#036") == "36"
    assert Chain().answer("36") is None


def _right(task, n=2000):
    shown = task.demonstrations(n, seed=0)
    return sum(
        task.score(completion, {"answer": _value(prompt, task.modulus)})
        for prompt, completion in zip(shown["prompt"], shown["completion"], strict=True)
    )


def _value(prompt, modulus):
    """Single-digit operands: read two characters at a time."""
    value = int(prompt[0])
    for sign, digit in zip(prompt[1:-1:2], prompt[2:-1:2], strict=True):
        other = int(digit)
        value = {"+": value + other, "-": value - other, "*": value * other}[sign] % modulus
    return value


def test_without_noise_every_demonstration_is_right():
    assert _right(Chain(noise=0.0)) == 2000


def test_noise_makes_the_stated_share_wrong():
    # 0.8 ** 3 = 0.512; a wrong step is put right again by accident in about 1 of 100, more often
    # where a factor wipes the error out. Five standard errors are 0.056.
    assert 0.45 < _right(Chain(noise=0.2)) / 2000 < 0.62


def test_skip_leaves_the_working_out():
    assert all(c[0] == "#" for c in Chain(skip=1.0).demonstrations(50)["completion"])
    full = Chain(skip=0.0, noise=0.0).demonstrations(50)["completion"]
    assert all(c.count(",") == 2 for c in full)
    assert any("=" in c for c in full)
    assert any("=" not in c for c in full)


def test_steps_are_the_length_of_the_chain():
    row = Chain(steps=5, train_size=3, test_size=3).dataset("test")[0]
    assert len(row["operators"]) == len(row["operands"]) == 5


@pytest.mark.parametrize("fields", [{"steps": 0}, {"modulus": 1}, {"noise": 1.0}, {"skip": 1.1}, {"low": -1}])
def test_fields_out_of_range(fields):
    with pytest.raises(InputError, match=rf"{next(iter(fields))}=.* is out of range"):
        Chain(**fields)
