"""The scripts of benchmarks/evidence, and rows as they write them."""

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "benchmarks/evidence"


@pytest.fixture
def script(monkeypatch):
    """Import a script by its name; scripts import each other, as when they are run."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


@pytest.fixture
def long_row():
    """A row of long.jsonl: as many correct answers of 16 to each problem, at every setting and split.

    The run takes `last` batches of rollouts with two steps on each.
    """

    def row(label, seed, step, correct, last=400):
        stored = {
            "correct": correct, "samples": 16, "maj": [float(c > 8) for c in correct],
            "entropy": 0.25, "entropy_right": 0.2, "entropy_wrong": 0.4,
        }  # fmt: skip
        split = dict.fromkeys(("headline", "sampled", "greedy"), stored)
        training = {"mixed": 0.5, "grad_norm": 0.1, "entropy": 0.3}
        return {
            "recipe": "eval-a", "label": label, "seed": seed, "step": step, "training": training,
            "flags": ["--num_iterations", "2", "--max_steps", str(2 * last)], "test": split, "train": split,
        }  # fmt: skip

    return row
