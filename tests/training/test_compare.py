"""A comparison from its command line to its table."""

from pathlib import Path

import pytest
from rich.console import Console

from aent.errors import InputError
from aent.runs.comparison import Comparison, Entrant
from aent.runs.lock import locked
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


def test_one_comparison_at_a_time_works_in_a_folder(workplace, policy):
    Path("compared").mkdir()
    with (
        locked(Path("compared"), ""),
        pytest.raises(InputError, match="another aent compare is at work in compared"),
    ):
        compare(comparison(policy), Path("compared"), Console())
