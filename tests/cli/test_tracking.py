"""Live tracking is the host's; it works offline and holds what aent logs."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from aent.cli.main import main

WATCHED = ("aent/entropy", "aent/coef", "aent/low", "reward")


@pytest.fixture
def train(workplace, policy):
    def run(*flags):
        argv = ["train", "--model_name_or_path", str(policy), "--max_steps", "4", "--logging_steps", "2",
                "--per_device_train_batch_size", "16", "--num_generations", "4",
                "--evaluation", "null"]  # fmt: skip
        assert main([*argv, "--output_dir", "run", *flags]) == 0
        rows = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
        return [row for row in rows if "loss" in row]

    return run


def test_tensorboard_holds_entropy_and_coefficient(train):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install -e '.[dev]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    rows = train("--report_to", "tensorboard")
    (events,) = Path("run/runs").rglob("events.out.tfevents.*")
    found = EventAccumulator(str(events))
    found.Reload()
    for key in WATCHED:
        written = [(event.step, event.value) for event in found.Scalars(f"train/{key}")]
        assert written == [(row["step"], pytest.approx(row[key], rel=1e-6)) for row in rows]
    assert "no evaluation" in Path("run/report.html").read_text()


def test_trackio_holds_entropy_and_coefficient(train, tmp_path, monkeypatch):
    if find_spec("trackio") is None:
        pytest.skip("trackio is not installed; it needs an older pillow than constraints.txt has")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # read when trackio is imported
    rows = train("--report_to", "trackio", "--project", "sums", "--run_name", "first")
    for key in WATCHED:
        words = ["--project", "sums", "--run", "first", "--metric", f"train/{key}", "--json"]
        told = subprocess.run(
            [sys.executable, "-m", "trackio.cli", "get", "metric", *words],
            capture_output=True,
            text=True,
            check=True,
        )
        written = [point["value"] for point in json.loads(told.stdout)["values"]]
        assert written == pytest.approx([row[key] for row in rows])
