"""One run of a comparison, in its own process."""

import subprocess
import sys
import time


def start(*argv, cwd):
    return subprocess.Popen(
        [sys.executable, "-m", "aent.training.worker", *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
    )


def test_a_mistake_is_one_message_in_the_log(workplace):
    worker = start("countdown", "--method", "aant", cwd=workplace)
    assert worker.stdout is not None
    out = worker.stdout.read()
    assert worker.wait(timeout=120) == 1
    assert out.startswith("error: unknown method 'aant'")
    assert "Traceback" not in out


def test_it_ends_when_the_process_that_started_it_does(workplace, policy):
    """The other end of its standard input closes, as it does when that process is killed."""
    worker = start(
        "--model_name_or_path", str(policy), "--max_steps", "100000", "--evaluation", "null",
        "--per_device_train_batch_size", "16", "--output_dir", "run", cwd=workplace,
    )  # fmt: skip
    assert worker.stdin is not None
    assert worker.stdout is not None
    while "step " not in worker.stdout.readline():
        assert worker.poll() is None
    worker.stdin.close()
    deadline = time.monotonic() + 30
    while worker.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert worker.returncode == 1
