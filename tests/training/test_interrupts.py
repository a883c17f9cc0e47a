"""Ctrl-C, SIGTERM and SIGHUP."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from aent.cli.main import main

SHORT = ["--per_device_train_batch_size", "32", "--num_generations", "8", "--logging_steps", "1",
         "--evaluation.problems", "8", "--evaluation.samples", "4"]  # fmt: skip


def rows(run):
    return [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]


def test_ctrl_c_keeps_a_checkpoint_and_resume_goes_on_as_if_nothing_happened(workplace, policy, capsys):
    argv = ["train", "--model_name_or_path", str(policy), *SHORT[:6], "--max_steps", "60",
            "--evaluation", "null", "--method.coef", "0.01", "--method.lr", "0.1"]  # fmt: skip
    assert main([*argv, "--output_dir", "whole"]) == 0
    stopped = subprocess.Popen(
        [sys.executable, "-m", "aent.cli.main", *argv, "--output_dir", "stopped"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = Path("stopped/metrics.jsonl")
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.read_text()) and time.monotonic() < deadline:
        time.sleep(0.01)
    stopped.send_signal(signal.SIGINT)
    out, err = stopped.communicate(timeout=120)
    assert stopped.returncode == 130, err
    assert "Traceback" not in err
    assert "aent train --resume stopped" in out
    reached = rows("stopped")[-1]["step"]
    assert 1 <= reached < 60
    assert Path(f"stopped/checkpoint-{reached}/trainer_state.json").exists()
    capsys.readouterr()
    assert main(["train", "--resume", "stopped"]) == 0
    whole, resumed = rows("whole"), rows("stopped")
    assert [row["step"] for row in resumed] == [row["step"] for row in whole]
    for key in ("aent/coef", "aent/entropy", "reward"):
        assert [row.get(key) for row in resumed] == [row.get(key) for row in whole]
