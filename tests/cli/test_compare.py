"""`aent compare` as a user meets it: a table, killed and repeated, and mistakes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aent.cli.compare import _seeds
from aent.cli.main import main
from aent.errors import InputError

TINY = ["--max_steps", "4", "--logging_steps", "1", "--save_steps", "1", "--num_generations", "4",
        "--per_device_train_batch_size", "8",
        "--evaluation.problems", "4", "--evaluation.samples", "2",
        "--evaluation.also", "{greedy: {temperature: 0, samples: 1}}"]  # fmt: skip


@pytest.fixture
def argv(workplace, policy):
    methods = workplace / "methods.yaml"
    methods.write_text(
        "plain: {method: none}\n"
        "bonus: {method: {name: entropy-bonus, coef: 0.5}, flags: {learning_rate: 0.01}}\n"
    )
    return ["countdown", "--methods", str(methods), "--baseline", "plain", "--seeds", "3", *TINY,
            "--model_name_or_path", str(policy)]  # fmt: skip


def start(argv, folder):
    return subprocess.Popen(
        [sys.executable, "-m", "aent.cli.main", "compare", *argv, "--output_dir", folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(path, process):
    deadline = time.monotonic() + 240
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


def entries(folder):
    """What came out, without what a clock measured."""
    found = json.loads(Path(folder, "comparison.json").read_text())["entries"]
    return [entry for entry in found if entry["metric"] != "seconds"]


def test_stopped_killed_and_repeated_it_gives_the_same_table(argv, capsys):
    assert main(["compare", *argv, "--output_dir", "whole"]) == 0
    printed = capsys.readouterr().out
    assert "pass@1" in printed
    assert "bonus" in printed
    assert printed.splitlines()[-1].startswith("whole/report.html: ")
    page = Path("whole/report.html").read_text()
    assert "2 methods compared" in page
    assert "bonus, after" in page  # the token view
    stopped = start(argv, "killed")
    wait_for(Path("killed/runs/plain-grpo-3/metrics.jsonl"), stopped)
    stopped.send_signal(signal.SIGINT)
    out, _ = stopped.communicate(timeout=120)
    assert stopped.returncode == 130
    assert "the same command continues from there" in out
    killed = start(argv, "killed")
    wait_for(Path("killed/runs/bonus-grpo-3/checkpoint-3/trainer_state.json"), killed)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert main(["compare", *argv, "--output_dir", "killed"]) == 0
    assert entries("killed") == entries("whole")
    with Path("whole/comparison.csv").open() as file:
        rows = {(row["method"], row["metric"]): row for row in csv.DictReader(file)}
    assert float(rows["bonus", "entropy"]["difference"]) != 0
    assert rows["plain", "entropy"]["difference"] == ""
    assert rows["plain", "entropy greedy"]["value"] != rows["plain", "entropy"]["value"]
    assert ("plain", "length greedy") not in rows
    stamp = os.stat("whole/runs/plain-grpo-3/policy").st_mtime_ns
    assert main(["compare", *argv, "--output_dir", "whole"]) == 0  # nothing is run again
    assert os.stat("whole/runs/plain-grpo-3/policy").st_mtime_ns == stamp
    assert main(["compare", *argv, "--seeds", "4", "--output_dir", "whole"]) == 1
    assert "other settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["countdown"], "--methods is missing"),
        (["--methods", "none"], "a recipe comes first"),
        (["countdwn", "--methods", "none"], "unknown recipe 'countdwn'"),
        (["countdown", "--methods", "none,aant"], "unknown method 'aant'"),
        (["countdown", "--methods", "none", "--baseline", "aent"], "the baseline 'aent' is not among"),
        (["countdown", "--methods", "none", "--seeds", "one"], "not a list such as 0-4"),
        (["countdown", "--methods", "none", "--algorithms", "gppo"], "unknown algorithm 'gppo'"),
        (["countdown", "--methods", "none", "--leraning_rate", "1"], "unknown flag '--leraning_rate'"),
        (["countdown", "--methods", "gone.yaml"], "gone.yaml"),
        (["countdown", "--methods", "none", "--jobs", "no"], "--jobs"),
        (["countdown", "--methods", "none,none"], "names a method twice"),
        (["countdown", "--methods", "none", "--algorithms", "grpo,grpo"], "names an algorithm twice"),
    ],
)
def test_mistakes_are_one_message(argv, message, workplace, capsys):
    assert main(["compare", *argv]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert list(workplace.iterdir()) == []


def test_seeds():
    assert _seeds("0-2,7,1") == (0, 1, 2, 7)
    for text in ("3-", "\N{SUPERSCRIPT TWO}"):
        with pytest.raises(InputError, match="not a list"):
            _seeds(text)
