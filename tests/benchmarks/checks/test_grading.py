"""benchmarks/checks/grading.py: mutations are what they are called, and real answers get the right grade."""

import importlib.util
import os
from pathlib import Path

import pytest

from aent.tasks import load_task

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("AENT_DATA", ROOT / ".." / "shared" / "data"))


@pytest.fixture
def grading(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks/checks"))
    spec = importlib.util.spec_from_file_location("grading", ROOT / "benchmarks/checks/grading.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def agrees(grading):
    return grading.agrees


@pytest.mark.parametrize(
    ("gold", "kind", "due"),
    [
        ("4.5e33", "sign flipped", ["-4.5e33"]),
        ("-4.5", "sign flipped", ["4.5"]),
        ("0", "sign flipped", []),
        ("x+1", "sign flipped", ["-(x+1)"]),
        ("y=-x", "sign flipped", ["y=-(-x)"]),
        ("4.59", "digit changed", ["4.50"]),
        ("4.5e33", "digit changed", ["4.5e34", "4.6e33"]),
        (
            r"5 \text{ kg }",
            "unit swapped",
            [rf"5 \text{{ {u} }}" for u in ["m", "cm", "s", "J", "eV", "deg", "year"]],
        ),
        ("5", "unit swapped", []),
        ("1250", "rewritten", ["1,250", "1250.0", "1{,}250"]),
        (r"\frac{a}{2} b", "rewritten", [r"\dfrac{a}{2}\,b", r"\frac{a}{2}b", r"(\frac{a}{2} b)"]),
    ],
)
def test_answers_to_grade(gold, kind, due, grading):
    found = [answer for k, answer in grading.answers([gold, "7"], 0) if k == kind]
    assert sorted(found) == sorted(due)


def test_another_gold_is_another_answer(grading):
    golds = ["5", r"5 \text{ m }", "6", "5.0"]
    assert [a for kind, a in grading.answers(golds, 0) if kind == "another's gold"] == ["6"]


@pytest.mark.parametrize(
    ("answer", "gold", "same"),
    [
        (r"1.6 \times 10^{-19}", "1.6e-19", True),
        ("1,250", "1250.0", True),
        (r"\frac{t}{m}", r"\frac{1}{m} t", True),
        (r"\frac{\cos(2t)}{15}", r"\cos (2 t)/15", True),
        ("2, 1", "1,2", True),
        ("dx = a", "2dx = 2a", True),
        (r"-\tau \ln \Delta", r"\tau \ln \frac{1}{\Delta}", True),
        ("2.6e-19", "1.6e-19", False),
        ("(2, 1)", "(1,2)", False),
        ("[1,2)", "(1,2)", False),
        ("x^2", "x^3", False),
        (r"5 \text{ m }", r"5 \text{ cm }", False),
        ("__import__('os')", "5", False),
    ],
)
def test_the_second_grader(answer, gold, same, agrees):
    assert agrees(answer, gold) is same


@pytest.mark.parametrize(("name", "step"), [("aime24", 1), ("amc23", 1), ("minerva", 12), ("gsm8k-test", 20)])
def test_real_answers_are_graded_as_due_by_both(name, step, grading):
    kind_of_task, file = grading.FILES[name]
    if not (DATA / file).exists():
        pytest.skip(f"no {file} in {DATA} (set AENT_DATA)")
    task = load_task(kind_of_task, path=str(DATA), test=file, train=None)
    golds = task.dataset("test")["answer"][::step]
    tallies = grading.grade(task, golds, [str(place) for place in range(len(golds))])
    for kind, tally in tallies.items():
        assert (kind, tally.exceptions, tally.disagreements) == (kind, [], [])
    assert tallies["gold"].graded == len(golds)
    assert tallies["another's gold"].graded == 3 * len(golds)
