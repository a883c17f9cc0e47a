"""A comparison from its command line to its table."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from aent.errors import InputError
from aent.lock import locked
from aent.runs.comparison import Comparison, ComparisonFolder, Entrant
from aent.training.compare import compare

TINY = ("--per_device_train_batch_size", "8", "--num_generations", "4", "--max_steps", "2",
        "--evaluation.problems", "4", "--evaluation.samples", "2")  # fmt: skip


def comparison(policy, *flags, methods=("none", "entropy-bonus")):
    return Comparison(
        recipe="countdown",
        entrants={name: Entrant(method=name) for name in methods},
        algorithms=("grpo",),
        seeds=(3,),
        baseline="none",
        flags=(*TINY, "--model_name_or_path", str(policy), *flags),
    )


def test_runs_shorter_than_their_logging_interval_are_compared(workplace, policy):
    """Nothing was logged, so there is no learning curve, but the policies are evaluated."""
    console = Console(width=140, record=True, force_terminal=False)
    assert compare(comparison(policy), Path("compared"), console, count=1) == 0
    printed = console.export_text()
    lines = [line.rstrip() for line in printed.splitlines()]
    assert lines[:2] == ["1 of 2: none-grpo-3 done", "2 of 2: entropy-bonus-grpo-3 done"]
    assert "pass@1" in printed
    assert "entropy_kept" in printed
    assert "reward_area" not in printed
    assert Path("compared/comparison.csv").exists()
    assert "2 methods compared" in Path("compared/report.html").read_text()
    assert "compared/grpo.png: entropy, pass@1 and pass@k of all methods" in printed
    assert Path("compared/grpo.png").exists()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_table_of_six_methods_is_printed_whole(terminal, workplace, make_run):
    """80 columns is what a terminal has, and what rich takes a file to have."""
    methods = ("none", "aent", "aent-auto", "clip-higher", "entropy-bonus", "forking-tokens")
    asked = Comparison(
        recipe="countdown",
        entrants={name: Entrant(method=name) for name in methods},
        algorithms=("grpo",),
        seeds=(3,),
        baseline="none",
    )
    ComparisonFolder(Path("compared")).claim(asked)
    for number, job in enumerate(asked.jobs):
        make_run(f"compared/runs/{job.name}", method=job.label, after=1 + number % 3)
    printed = io.StringIO()
    console = Console(width=80, file=printed, force_terminal=terminal, color_system=None)
    assert compare(asked, Path("compared"), console) == 0
    lines = [line.split() for line in printed.getvalue().splitlines()]
    if terminal:
        # 3 of 4 answers are right against 1
        assert ["pass@1", "aent-auto", "0.250", "0.750", "+0.500", "(+0.500,", "+0.500)"] in lines
        assert [line[1] for line in lines if line[:1] == ["pass@1"]] == [*methods]
    else:
        assert ["metric", "before", "training", *methods] in lines
        assert ["pass@1", "0.250", "0.250", "0.500", "0.750", "0.250", "0.500", "0.750"] in lines
    assert "…" not in printed.getvalue()


def test_a_failed_run_is_said_when_it_fails_and_at_the_end(workplace, policy, monkeypatch):
    monkeypatch.setattr("aent.training.workers.Workers._environment", lambda *_: {"PATH": ""})
    monkeypatch.setattr("aent.training.workers.sys.executable", "/bin/false")
    console = Console(width=140, record=True, force_terminal=False)
    message = r"1 of 1 runs failed; what they printed:\n  compared/logs/none-grpo-3.log"
    with pytest.raises(InputError, match=message):
        compare(comparison(policy, methods=("none",)), Path("compared"), console, count=1)
    assert "1 of 1: none-grpo-3 failed, see compared/logs/none-grpo-3.log" in console.export_text()


def test_mistakes_are_found_before_the_folder_exists(workplace, policy):
    for flags, message in ((("--max_steps", "0"), "max_steps=0"), (("--temprature", "1"), "unknown flag")):
        with pytest.raises(InputError, match=message):
            compare(comparison(policy, *flags), Path("compared"), Console())
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize("flag", ["--task.numbers", "--evaluation.samples"])
def test_runs_that_would_not_be_measured_alike_are_refused(flag, workplace, policy):
    """Their answers are to other problems, or drawn otherwise, and were paired all the same."""
    asked = comparison(policy)
    entrants = {**asked.entrants, "other": Entrant(method="none", flags=(flag, "4"))}
    what = flag.removeprefix("--").partition(".")[0]
    with pytest.raises(InputError, match=f"none-grpo-3 and other-grpo-3 differ in {what}"):
        compare(replace(asked, entrants=entrants), Path("compared"), Console())
    assert list(workplace.iterdir()) == []


def test_one_comparison_at_a_time_works_in_a_folder(workplace, policy):
    Path("compared").mkdir()
    with (
        locked(Path("compared"), ""),
        pytest.raises(InputError, match="another aent compare is at work in compared"),
    ):
        compare(comparison(policy), Path("compared"), Console())
