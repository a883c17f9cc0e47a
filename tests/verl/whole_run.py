"""A run of verl's own ``main_ppo`` on the toy, in processes of its own, and what it logs."""

import os
import re
import subprocess
import time
from itertools import pairwise

import psutil
import pytest
from verl_on_cpu import toy

from aent.verl.export import written

LIMIT = 900
"""Seconds for one run of verl; an idle machine needs a fifth."""
RULE = {"coef": 0.01, "coef_max": 0.1, "lr": 0.05, "warmup": 0}


def aent(low, high):
    return written({"name": "aent", "low": low, "high": high, **RULE})


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
