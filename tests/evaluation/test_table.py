import io
import re

import pytest
from rich.console import Console

from aent.errors import InputError
from aent.evaluation import EvalConfig, Evaluation, before_after_table, results_table, summary_table
from aent.evaluation.results import estimates, per_problem

PROBLEMS = 40


@pytest.fixture
def evaluated(record):
    def make(right: int, length: int = 5, problems: int = PROBLEMS):
        config = EvalConfig(samples=2, k=(1,))
        records = [record(p, s, float(p < right), length=length) for p in range(problems) for s in (0, 1)]
        metrics = estimates(per_problem(records, config.ks), config.seed)
        return Evaluation(metrics=metrics, config=config, records=records, about={})

    return make


def test_a_table_shows_both_sides_and_what_changed(evaluated):
    table = before_after_table(evaluated(right=10), evaluated(right=30, length=7))
    console = Console(file=io.StringIO(), width=80)
    console.print(table)
    lines = {
        line.split()[0]: line
        for line in console.file.getvalue().splitlines()
        if "@" in line or "length" in line or "entropy" in line
    }
    # 10 and 30 of 40 problems solved.
    assert "0.250 [0." in lines["pass@1"]
    assert "0.750 [0." in lines["pass@1"]
    assert "+0.500 [+0." in lines["pass@1"]
    assert "+2.0 [+2.0, +2.0]" in lines["length"]
    assert "+0.000 [+0.000, +0.000]" in lines["entropy"]
    assert "40 problems" in console.file.getvalue()


@pytest.mark.parametrize(
    ("answers", "note"),
    [
        (["7"] * 40, "100 % of all answers are '7', whatever the question"),
        (["[b]7[/b]"] * 36 + ["8"] * 4, "90 % of all answers are '[b]7[/b]', whatever the question"),
        (["1" * 50] * 40, f"100 % of all answers are '{'1' * 19}…', whatever the question"),
        (["7"] * 35 + ["8"] * 5, ""),
        (["7"] * 36 + [None] * 4, "90 % of all answers are '7', whatever the question"),
        ([None] * 40, ""),
        (["7"] * 9, ""),
    ],
)
def test_one_answer_to_everything_is_pointed_out(answers, note, record):
    """A policy that says 7 to all 40 problems may earn 60 % with it."""
    config = EvalConfig(samples=1)
    records = [record(problem, 0, 1.0, answer) for problem, answer in enumerate(answers)]
    metrics = estimates(per_problem(records, config.ks), config.seed)
    made = Evaluation(metrics=metrics, config=config, records=records, about={})
    for table in (results_table(made), before_after_table(made, made)):
        console = Console(file=io.StringIO(), width=200)
        table.width = 180
        console.print(table)
        found = [line for line in console.file.getvalue().splitlines() if "answers are" in line]
        assert all(line.strip().removeprefix("before: ").removeprefix("after: ") == note for line in found)
        assert bool(found) == bool(note)


def test_one_evaluation_alone(evaluated):
    console = Console(file=io.StringIO(), width=40)
    console.print(results_table(evaluated(right=10)))
    lines = console.file.getvalue().splitlines()
    assert any(line.startswith("pass@1") and "0.250 [0." in line for line in lines)
    assert any(line.startswith("length") and "5.0 [5.0, 5.0]" in line for line in lines)


def test_only_a_sure_change_is_bold(evaluated):
    table = before_after_table(evaluated(right=10), evaluated(right=11))
    styles = dict(zip(table.columns[0].cells, (row.style for row in table.rows), strict=True))
    assert styles["pass@1"] is None  # one problem of 40
    table = before_after_table(evaluated(right=10), evaluated(right=30))
    styles = dict(zip(table.columns[0].cells, (row.style for row in table.rows), strict=True))
    assert styles["pass@1"] == "bold"


def test_different_problems_are_refused(evaluated):
    with pytest.raises(InputError, match="different problems"):
        before_after_table(evaluated(right=3), evaluated(right=3, problems=20))


def test_one_problem_has_no_interval(evaluated):
    before, after = evaluated(right=0, problems=1), evaluated(right=1, length=7, problems=1)
    for table, due in (
        (results_table(after), {"pass@1": ["1.000"], "length": ["7.0"]}),
        (before_after_table(before, after), {"pass@1": ["0.000", "1.000", "+1.000"]}),
    ):
        console = Console(file=io.StringIO(), width=80)
        console.print(table)
        lines = {line.split()[0]: line.split()[1:] for line in console.file.getvalue().splitlines() if line}
        assert {name: lines[name] for name in due} == due
        assert "one problem: no interval" in console.file.getvalue()
        assert not any(row.style for row in table.rows)  # nothing is sure
    console = Console(file=io.StringIO(), width=80)
    console.print(summary_table({"a": before, "b": after}))
    assert re.search(r"^b +1\.000 *$", console.file.getvalue(), re.MULTILINE)
