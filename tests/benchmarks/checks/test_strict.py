"""The strict grader of `words` agrees with the task on answers, and not on what only looks like one."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from aent.evaluation.config import EvalConfig
from aent.evaluation.results import Evaluation, Record, estimates, per_problem
from aent.tasks import load_task

FILE = Path(__file__).parents[3] / "benchmarks" / "checks" / "strict.py"


@pytest.fixture(scope="module")
def strict():
    sys.path.insert(0, str(FILE.parent))
    spec = importlib.util.spec_from_file_location("strict", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(FILE.parent))
    return module


def record(completion, *, problem=0, sample=0, score=0.0, length=20, question="What is 3 * 4?"):
    prompt = [{"role": "user", "content": question}]
    return Record(problem, prompt, sample, completion, score, None, 1.0, length)


def evaluation(records, folder):
    metrics = estimates(per_problem(records, [1, 2]), seed=0)
    about = {"max_tokens": 32, "task": {"name": "words"}}
    made = Evaluation(metrics=metrics, config=EvalConfig(samples=2), records=records, about=about)
    made.save(folder)
    return made


@pytest.mark.parametrize("template", [None, "{question} Answer with the number only."])
def test_right_answers_are_worked_out_from_every_kind_of_question(strict, template):
    task = load_task({"name": "words", "steps": 2, "high": 99, "template": template})
    kinds = set()
    for split in ("train", "test"):
        for row in task.dataset(split).to_list():
            kinds.add(row["story"])
            assert strict.right(row["prompt"][-1]["content"]) == row["answer"]
    assert len(kinds) == 8


@pytest.mark.parametrize(
    ("completion", "length", "passed"),
    [
        ("12", 2, True),
        ("3 * 4 = 12.", 9, True),
        ("There are 12 eggs.", 7, True),
        ("12", 32, False),  # cut off
        ("12 = 3 * 4", 9, False),
        ("3 * 4", 5, False),
        ("112", 3, False),
        ("1,2", 4, True),
        ("-12", 3, False),
        ("12.5", 4, False),
        ("twelve", 3, False),
        ("", 1, False),
    ],
)
def test_an_answer_ends_by_itself_and_with_the_number(strict, completion, length, passed):
    assert strict.passes(record(completion, length=length), 32, {}) is passed


@pytest.mark.parametrize(
    ("completion", "gold", "passed"),
    [
        (r"So the answer is \boxed{\frac{1}{2}}.", "0.5", True),
        (r"\boxed{1,234}", "1234", True),
        (r"\boxed{7} or rather \boxed{8}", "7", False),
        (r"Half of 14 is \boxed{7", "7", False),  # the box is not closed
        (r"\boxed{x} = 7", "7", False),  # the box counts, not the number behind it
        ("She earns $18.", "18", True),
        ("18 eggs, so she earns 36", "18", False),
        (r"\boxed{p - q}", "-q+p", True),
    ],
)
def test_answers_of_mathematics_are_compared_by_the_second_grader(strict, completion, gold, passed):
    asked = record(completion, question="Why?\n\nReason step by step.")
    assert strict.passes(asked, 32, {"Why?": gold, "Who?": "1"}) is passed
    assert not strict.passes(asked, 20, {"Why?": gold})  # cut off


def test_gold_answers_are_those_of_the_file(strict, tmp_path, capsys):
    rows = [{"question": "Why?", "answer": "3 * 4 is 12\n#### 12"}, {"problem": "Who?", "answer": "x"}]
    (tmp_path / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert strict.read_gold(tmp_path / "gold.jsonl") == {"Why?": "12", "Who?": "x"}
    (tmp_path / "one").mkdir()
    answers = [
        record("12", question="Why? Think."),
        record("13", sample=1, score=1.0, question="Why? Think."),
    ]
    evaluation(answers, tmp_path / "one")
    arguments = [str(tmp_path / "one"), "--gold", str(tmp_path / "gold.jsonl")]
    assert strict.main(arguments) == 0
    assert "paid but not passed: 1 of 1 paid; cut off: 0 of 2" in capsys.readouterr().out
    (tmp_path / "gold.jsonl").write_text(json.dumps(rows[1]) + "\n")
    assert strict.main(arguments) == 1
    assert "holds 0 questions of the file" in capsys.readouterr().err


def test_both_grades_of_a_run_and_its_answers(strict, tmp_path, capsys):
    """The reward paid three answers after training, one of which was cut off."""
    before = [record("no idea", sample=0), record("12", sample=1, score=1.0, length=2)]
    after = [record("12", sample=0, score=1.0, length=32), record("It is 12", sample=1, score=1.0)]
    other = "Tom has 3 boxes with 4 eggs in each, and 2 more eggs. How many eggs are there in all?"
    rest = [record("14", problem=1, sample=i, score=float(i == 0), question=other) for i in range(2)]
    for name, records in (("before", [*before, *rest]), ("after", [*after, *rest])):
        (tmp_path / name).mkdir()
        evaluation(records, tmp_path / name)
    assert strict.main([str(tmp_path), "--show", "3"]) == 0
    printed = capsys.readouterr().out
    assert "before: 4 answers\n  pass@1: 0.500" in printed
    assert "after: 4 answers\n  pass@1: 0.750" in printed
    assert "by the reward, 0.750" in printed  # 14 is right twice, paid or not
    assert "paid but not passed: 1 of 3 paid; cut off: 1 of 4" in printed
    assert (
        "What is 3 * 4? = 12\n  before, paid 0, strictly 0: no idea\n  after, paid 1, strictly 0: 12"
        in printed
    )
    assert printed.count(" = 12\n") == 2
    assert printed.count(" = 14\n") == 1


def test_other_tasks_and_other_folders_are_refused(strict, tmp_path, capsys):
    assert strict.main([str(tmp_path)]) == 1
    assert "has no results.json" in capsys.readouterr().err
    evaluation([record("no", question="Why?"), record("no", sample=1, question="Why?")], tmp_path)
    assert strict.main([str(tmp_path)]) == 1
    assert "is no question of the task words" in capsys.readouterr().err
