"""The benchmark of a training step still runs; its figures are in docs/evidence.md."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "speed" / "step.py"


@pytest.mark.slow
def test_it_times_aent_auto_with_its_bonus_at_work(tmp_path):
    """In a copy, since it appends its figures to a file beside itself."""
    shutil.copy(SCRIPT, tmp_path)
    flags = ["--vocab", "32", "--rounds", "1", "--steps", "1", "--runs", "aent-auto acting"]
    done = subprocess.run([sys.executable, "step.py", *flags], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "step.jsonl").read_text().splitlines()]
    assert [(row["run"], row["of"]) for row in rows] == [
        ("aent-auto acting", "step"),
        ("aent-auto acting", "step without its rollout"),
    ]
    assert all(row["seconds"][0] > 0 for row in rows)
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"step.jsonl", "step.py"}
