"""`aent diagnose` as a user meets it."""

import sys
from pathlib import Path

import pytest

from aent.cli.main import main


def test_a_run_of_ones_own(make_run, workplace, capsys):
    rows = [{"step": t, "reward": t / 400, "entropy": 0.9 * 0.99**t} for t in range(5, 200, 5)]
    make_run("mine", rows=rows)
    assert main(["diagnose", "mine"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("mine: run folder of aent, 39 logged rows, steps 5 to 195\n")
    assert told.endswith("\n\ndiagnosis.png\n")
    assert Path("diagnosis.png").exists()
    assert main(["diagnose", "mine", "--output", "there.png"]) == 0
    assert Path("there.png").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["no"], "no does not exist. Give a run folder of aent"),
        (["a", "b"], "reads one run or log, got 2: a, b"),
        (["--steps", "3"], "--steps is not a flag of aent diagnose"),
        (["a", "--output"], "--output"),
    ],
)
def test_bad_input_is_one_message(workplace, capsys, argv, message):
    assert main(["diagnose", *argv]) == 1
    assert message in capsys.readouterr().err


def test_a_table_with_a_cell_of_text_too_long_to_read(workplace, capsys):
    Path("big.csv").write_text(f"step,reward,text\n1,0.5,{'a' * 140_000}\n")
    assert main(["diagnose", "big.csv"]) == 1
    assert "big.csv cannot be read: it has a line that is not CSV, line 2" in capsys.readouterr().err


def test_an_entropy_of_0_at_the_start_is_no_error(workplace, capsys):
    entropy = [0.0] * 6 + [0.8 * 0.9**t for t in range(40)]
    rows = "".join(f"{step},{value},0.5\n" for step, value in enumerate(entropy, 1))
    Path("history.csv").write_text(f"step,entropy,reward\n{rows}")
    assert main(["diagnose", "history.csv"]) == 0
    assert "46 logged rows" in capsys.readouterr().out


def test_help_and_no_words(capsys):
    assert main(["diagnose", "--help"]) == 0
    assert main(["diagnose"]) == 2
    assert capsys.readouterr().out.count("usage: aent diagnose") == 2


def test_without_matplotlib_the_words_are_printed_all_the_same(make_run, workplace, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    make_run("mine", rows=[{"step": t, "reward": 0.5, "entropy": 0.9} for t in range(1, 20)])
    assert main(["diagnose", "mine"]) == 1
    printed = capsys.readouterr()
    assert "Entropy     is steady" in printed.out
    assert "matplotlib" in printed.err
