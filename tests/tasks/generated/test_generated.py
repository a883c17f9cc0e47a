"""What holds for every synthetic task."""

import os
import subprocess
import sys

import pytest

from aent.errors import InputError
from aent.tasks import Chain, Countdown, Lists

TASKS = [Countdown, Chain, Lists]

COUNTDOWN = ["5,6,2 17=", "2,2,2 2="]
CHAIN = ["8-7+9*9=", "6*3+4*9="]
LISTS = ["reverse,rotate cadbf=", "swap,reverse ebfef="]


@pytest.fixture(params=TASKS, ids=lambda task: task.name)
def task(request):
    return request.param


def _keys(task, rows):
    return {task.key(row) for row in rows}


def test_problems_are_distinct_and_as_many_as_asked_for(task):
    made = task(train_size=300, test_size=60)
    for split, size in (("train", 300), ("test", 60)):
        rows = made.dataset(split)
        assert len(rows) == size
        assert len(_keys(made, rows)) == size


def test_train_and_test_are_disjoint_across_seeds_and_sizes(task):
    variants = [{"seed": 0}, {"seed": 1, "train_size": 400}, {"seed": 2, "test_size": 150}]
    made = [task(**({"train_size": 200, "test_size": 100} | variant)) for variant in variants]
    train = set().union(*(_keys(t, t.dataset("train")) for t in made))
    test = set().union(*(_keys(t, t.dataset("test")) for t in made))
    assert len(train) > 300
    assert len(test) > 120
    assert not train & test


def test_demonstrations_show_no_test_problem(task):
    made = task(test_size=200)
    held_out = _keys(made, made.dataset("test"))
    if task is Countdown:  # the key of a prompt in any order of its numbers
        shown = set()
        for prompt in made.demonstrations(2000)["prompt"]:
            numbers, target = prompt.rstrip("=").split(" ")
            row = {"numbers": list(map(int, numbers.split(","))), "target": int(target)}
            shown.add(made.key(row))
    else:
        shown = set(made.demonstrations(2000)["prompt"])
    assert not shown & held_out


def test_a_larger_size_extends_the_smaller_one(task):
    small, large = (task(train_size=n).dataset("train")["prompt"] for n in (50, 90))
    assert list(small) == list(large)[:50]


def test_the_test_split_does_not_depend_on_the_train_size(task):
    one, other = (task(train_size=n, test_size=30).dataset("test") for n in (10, 200))
    assert one.to_list() == other.to_list()


def test_another_seed_gives_other_problems(task):
    one, other = (task(train_size=50, seed=seed).dataset("train") for seed in (0, 1))
    assert one.to_list() != other.to_list()
    demonstrations = [task().demonstrations(50, seed).to_list() for seed in (0, 0, 1)]
    assert demonstrations[0] == demonstrations[1] != demonstrations[2]


def test_the_same_in_a_fresh_process():
    code = (
        "from aent.tasks import *\n"
        "for t in (Countdown(test_size=5), Chain(test_size=5), Lists(test_size=5)):\n"
        "    print(t.dataset('test').to_list(), t.demonstrations(5, 3).to_list())\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
    )
    here = "".join(
        f"{t.dataset('test').to_list()} {t.demonstrations(5, 3).to_list()}\n"
        for t in (Countdown(test_size=5), Chain(test_size=5), Lists(test_size=5))
    )
    assert run.stdout == here


def test_the_problems_of_a_seed_do_not_change_between_releases():
    # Written down once: a change here makes published runs irreproducible.
    assert [Countdown().dataset("test")["prompt"][i] for i in range(2)] == COUNTDOWN
    assert [Chain().dataset("test")["prompt"][i] for i in range(2)] == CHAIN
    assert [Lists().dataset("test")["prompt"][i] for i in range(2)] == LISTS


def test_validate_every_row(task):
    made = task(train_size=300, test_size=100)
    assert made.validate("train") == 300
    assert made.validate("test") == 100


def test_alphabet_and_length_bound_what_is_shown(task):
    for fields in ({}, {"high": 30} if task is not Lists else {"length": 9}):
        made = task(**fields)
        shown = made.demonstrations(3000)
        assert set("".join(shown["prompt"])) <= set(made.alphabet)
        assert set("".join(shown["completion"])) <= set(made.alphabet)
        longest = max(map(len, shown["completion"]))
        assert made.max_length - 2 <= longest <= made.max_length
        assert len(set(made.alphabet)) == len(made.alphabet)


def test_too_few_problems_says_how_many_there_are():
    # a op b with a, b in {1, 2} and a target of 1 to 99:
    # (1,1): 2, 1   (1,2): 3, 1, 2   (2,2): 4, 4 -> keys 11>2, 11>1, 12>3, 12>1, 12>2, 22>4
    small = Countdown(numbers=2, low=1, high=2, train_size=1, test_size=1)
    counts = [_count(small, split) for split in ("train", "test")]
    assert sum(counts) == 6


def _count(task, split):
    with pytest.raises(InputError) as error:
        type(task)(numbers=task.numbers, low=task.low, high=task.high, train_size=99, test_size=99).dataset(
            split
        )
    message = str(error.value)
    assert f"{split}_size=99 asks for more" in message
    assert "numbers=2, low=1, high=2, max_target=99" in message
    return int(message.split(" has ")[1].split(" distinct")[0])


def test_a_difficulty_without_problems_is_refused():
    impossible = Countdown(numbers=2, low=900, high=900, max_target=1)
    with pytest.raises(InputError, match="yielded no train problem at this difficulty"):
        impossible.dataset("train")
    with pytest.raises(InputError, match="yielded no train problem"):
        impossible.demonstrations(1)


def test_demonstrations_need_a_number():
    with pytest.raises(InputError, match=r"demonstrations\(n=0\)"):
        Countdown().demonstrations(0)


def test_a_conversation_holds_the_problem_and_the_instructions(task):
    bare = task(train_size=5, test_size=5).dataset("test")
    chat = task(train_size=5, test_size=5, chat=True, system="Be brief.")
    for plain, row in zip(bare, chat.dataset("test"), strict=True):
        system, user = row["prompt"]
        assert system == {"role": "system", "content": "Be brief."}
        assert plain["prompt"] in user["content"]
        assert len(user["content"]) > len(plain["prompt"]) + 100
        assert {k: v for k, v in row.items() if k != "prompt"} == {
            k: v for k, v in plain.items() if k != "prompt"
        }
    assert chat.validate("test") == 5


def test_a_template_replaces_the_instructions(task):
    made = task(train_size=5, test_size=5, template="Solve {question}")
    bare = task(train_size=5, test_size=5)
    assert made.dataset("train")["prompt"] == [f"Solve {p}" for p in bare.dataset("train")["prompt"]]
    with pytest.raises(InputError, match="has no place for the question"):
        task(template="Solve")


def test_prompts_with_text_around_them_have_no_demonstrations(task):
    with pytest.raises(InputError, match="a policy from scratch is trained on bare problems"):
        task(chat=True).demonstrations(1)


def test_in_a_conversation_countdown_reads_the_tags():
    row = {"numbers": [3, 5, 7], "target": 22}
    bare, chat = Countdown(), Countdown(chat=True)
    assert (bare.score("3*5+7", row), chat.score("3*5+7", row)) == (1, 0)
    assert chat.score("So <answer>3*5 + 7</answer>.", row) == 1
    assert (chat.answer("<answer>3*5 + 7</answer>"), chat.answer("3*5+7")) == ("3*5+7", None)
