"""Ctrl-C, SIGTERM and SIGHUP."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aent.cli.main import main
from aent.training.interrupts import SIGNALS, StopRequest, handled, terminated_as_interrupted

SHORT = ["--per_device_train_batch_size", "32", "--num_generations", "8", "--logging_steps", "1",
         "--evaluation.problems", "8", "--evaluation.samples", "4"]  # fmt: skip


def rows(run):
    return [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]


EACH = pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)


@EACH
def test_the_first_request_is_noted_and_the_second_stops_at_once(number):
    announced = []
    request, before = StopRequest(lambda: announced.append(True)), signal.getsignal(number)
    with request.listening():
        assert not request.asked
        os.kill(os.getpid(), number)
        assert request.asked
        assert announced == [True]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


def test_a_signal_in_the_middle_of_a_print_loses_the_message_only():
    """Python refuses to write to a stream from a handler that interrupted a write to it: RuntimeError."""

    def reentrant():
        raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stdout>'>")

    request = StopRequest(reentrant)
    with request.listening():
        os.kill(os.getpid(), signal.SIGINT)
    assert request.asked


@EACH
def test_before_and_after_training_all_three_are_ctrl_c(number):
    with pytest.raises(KeyboardInterrupt), terminated_as_interrupted():
        os.kill(os.getpid(), number)


def test_under_nohup_a_closed_terminal_is_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        request = StopRequest()
        with terminated_as_interrupted(), request.listening():
            os.kill(os.getpid(), signal.SIGHUP)
        assert not request.asked
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_ignored_at_the_end_of_a_block_stays_ignored():
    """A run that has stopped is writing its last messages; a late signal must not end it with a trace."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        with handled(SIGNALS, signal.default_int_handler):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_signal_keeps_a_checkpoint_and_the_resumed_run_is_the_same(workplace, policy, capsys):
    """One run is stopped twice and resumed, another left alone. Ctrl-C is in tests/cli/test_compare.py."""
    argv = ["--model_name_or_path", str(policy), *SHORT[:6], "--max_steps", "60",
            "--evaluation", "null", "--method.coef", "0.01", "--method.lr", "0.1"]  # fmt: skip
    assert main(["train", *argv, "--output_dir", "whole"]) == 0
    words = [*argv, "--output_dir", "stopped"]
    for number in (signal.SIGTERM, signal.SIGHUP):
        reached = stop(words, number)
        words = ["--resume", "stopped"]
    assert reached < 60
    capsys.readouterr()
    assert main(["train", "--resume", "stopped"]) == 0
    whole, resumed = rows("whole"), rows("stopped")
    assert [row["step"] for row in resumed] == [row["step"] for row in whole]
    for key in ("aent/coef", "aent/entropy", "reward"):
        assert [row.get(key) for row in resumed] == [row.get(key) for row in whole]


def stop(words, number):
    """Start or resume the run, send the signal once it has logged another step, and return the last step."""
    metrics = Path("stopped/metrics.jsonl")
    before = len(rows("stopped")) if metrics.exists() else 0
    run = subprocess.Popen(
        [sys.executable, "-m", "aent.cli.main", "train", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 240
    while run.poll() is None and time.monotonic() < deadline:
        if metrics.exists() and metrics.read_text().count('"loss"') > before:
            break
        time.sleep(0.01)
    run.send_signal(number)
    out, err = run.communicate(timeout=240)
    assert run.returncode == 130, err
    assert "Traceback" not in err
    assert "aent train --resume stopped" in out
    reached = rows("stopped")[-1]["step"]
    assert reached >= 1
    assert Path(f"stopped/checkpoint-{reached}/trainer_state.json").exists()
    return reached
