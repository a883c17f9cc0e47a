"""verl's own ``main_ppo`` on CPUs: Ray, agent loop, reward, FSDP2, weight sync, checkpoints."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from by_hand import assert_by_hand
from verl_on_cpu import toy

from aent.verl.export import written

pytestmark = pytest.mark.slow
LIMIT = 900
"""Seconds for one run of verl; an idle machine needs a fifth."""
RULE = {"coef": 0.01, "coef_max": 0.1, "lr": 0.05, "warmup": 0}


def aent(low, high):
    return written({"name": "aent", "low": low, "high": high, **RULE})


@pytest.fixture
def folder():
    """A folder with the toy; its path is short, since Ray puts sockets into it."""
    place = Path(tempfile.mkdtemp(prefix="aent-"))
    toy.write(place)
    yield place
    shutil.rmtree(place, ignore_errors=True)


class Run:
    """A run of verl in processes of its own, and what it logs."""

    def __init__(self, folder, steps, *overrides, gpus=1, **environment):
        self.log = folder / f"log-{time.time()}.txt"
        words = toy.command(folder, steps, "trainer.v1.trainer_mode=aent_sync", *overrides, gpus=gpus)
        with self.log.open("w") as log:
            self.process = psutil.Popen(
                words,
                cwd=folder,  # Hydra writes here
                env={**os.environ, **toy.ENVIRONMENT, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            for process in [*self.process.children(recursive=True), self.process]:
                process.kill()

    def steps(self):
        """The metrics of each training step by its number."""
        text = re.sub(r"np\.\w+\(([^()]*)\)", r"\1", self.log.read_text())
        lines = {int(step): line.split(" - ") for step, line in re.findall(r"step:(\d+) - (.*)\n", text)}
        return {
            step: {name: float(value) for name, _, value in (pair.partition(":") for pair in pairs)}
            for step, pairs in lines.items()
        }

    def wait_for(self, step):
        end = time.time() + LIMIT
        while step not in self.steps():
            assert self.process.poll() is None, self.tail()
            assert time.time() < end, self.tail()
            time.sleep(0.2)

    def finish(self):
        assert self.process.wait(LIMIT) == 0, self.tail()
        return self.steps()

    def tail(self):
        return self.log.read_text()[-6000:]


def follows_the_rule(steps, low, high):
    """Whether each coefficient is ``coef - lr (min(0, H - low) + max(0, H - high))`` of the step before."""
    for now, after in pairwise(steps):
        moved = min(0, now["aent/entropy"] - low) + max(0, now["aent/entropy"] - high)
        expected = min(max(now["aent/coef"] - RULE["lr"] * moved, 0.0), RULE["coef_max"])
        assert after["aent/coef"] == pytest.approx(expected, abs=1e-9)


def test_the_policy_learns_and_the_coefficient_follows_the_logged_entropy(folder):
    record = folder / "record"
    with Run(folder, 12, f"+aent.method={aent(2.9, 3.2)}", VERL_RECORD=str(record)) as run:
        steps = [metrics for _, metrics in sorted(run.finish().items())]
    assert len(steps) == 12
    assert steps[0]["critic/score/mean"] < 0.25
    assert steps[-1]["critic/score/mean"] > 0.5
    assert steps[0]["aent/coef"] == 0.01
    assert steps[-1]["aent/coef"] > 0.012
    follows_the_rule(steps, 2.9, 3.2)
    for metrics in steps:
        assert metrics["aent/entropy"] < metrics["aent/full_entropy"]
        assert metrics["aent/full_entropy"] == pytest.approx(metrics["actor/entropy"], rel=1e-4)
        assert metrics["training/rollout_probs_diff_mean"] < 1e-6  # the new weights reach the rollout
    assert_by_hand(record, {"name": "aent", "low": 2.9, "high": 3.2, **RULE}, steps, updates_per_step=1)


def worker(run):
    """One of the processes that train."""
    children = run.process.children(recursive=True)
    return next(child for child in children if any("WorkerDict" in word for word in child.cmdline()))


def test_a_killed_worker_ends_the_run_and_another_run_resumes_it(folder):
    method = f"+aent.method=[{aent(3.2, 3.4)},entropy-advantage]"  # below its band from the start
    settings = (method, "trainer.save_freq=2", "trainer.resume_mode=auto")
    with Run(folder, 40, *settings, gpus=2) as run:
        run.wait_for(4)
        killed = time.time()
        worker(run).kill()
        assert run.process.wait(LIMIT) != 0
        took = time.time() - killed
        before = run.steps()
        assert re.search(r"ActorDiedError|ActorUnavailableError", run.log.read_text())
    print(f"the driver ended {took:.1f} s after the kill")
    assert took < 60, took
    saved = int((folder / "checkpoints" / "latest_checkpointed_iteration.txt").read_text())
    assert (folder / "checkpoints" / f"global_step_{saved}" / "aent.json").is_file()
    with Run(folder, saved + 2, *settings, gpus=2) as run:
        after = run.finish()
    assert sorted(after) == [saved + 1, saved + 2]
    steps = [before[step] for step in range(1, saved + 1)] + [after[saved + 1], after[saved + 2]]
    follows_the_rule(steps, 3.2, 3.4)
    assert after[saved + 1]["aent/coef"] > before[1]["aent/coef"] == 0.01
