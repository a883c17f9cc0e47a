"""Logs as TRL and verl write them, of runs that end in known ways."""

import json

import numpy as np
import pytest


def made(entropy, reward=None, *, seed=0, **more):
    """Rows of TRL: the entropy and the reward with the noise of a batch, and everything else as usual."""
    rng = np.random.default_rng(seed)
    n = len(entropy)
    reward = np.linspace(0.2, 0.5, n) if reward is None else np.asarray(reward)
    rows = []
    for i in range(n):
        row = {
            "step": 5 * (i + 1),
            "loss": float(rng.normal(0, 0.01)),
            "grad_norm": float(rng.lognormal(0, 0.3)),
            "learning_rate": 1e-6,
            "reward": float(reward[i] + rng.normal(0, 0.01)),
            "entropy": float(entropy[i] * (1 + rng.normal(0, 0.02))),
            "completions/mean_length": float(300 + rng.normal(0, 5)),
            "completions/clipped_ratio": 0.02,
            "frac_reward_zero_std": 0.2,
            "clip_ratio/region_mean": 0.002,
            "step_time": 10.0,
        }
        row |= {key: float(np.broadcast_to(value, n)[i]) for key, value in more.items()}
        rows.append(row)
    return rows


T = np.arange(60)
ENTROPY = {
    "collapsed": 0.8 * np.exp(-T / 15),
    "falling": 0.8 * np.exp(-T / 60),
    "steady": 0.8 + 0.0 * T,
    "exploded": 0.8 * np.exp(T / 30),
}


@pytest.fixture
def run():
    """Rows of a run of a kind: ``run("collapsed")``, or of any entropy: ``run([...], loss=...)``."""

    def rows(entropy, reward=None, **more):
        return made(ENTROPY[entropy] if isinstance(entropy, str) else np.asarray(entropy), reward, **more)

    return rows


def as_verl(row):
    """A row of TRL under verl's names."""
    names = {
        "entropy": "actor/entropy", "reward": "critic/score/mean", "loss": "actor/pg_loss",
        "grad_norm": "actor/grad_norm", "learning_rate": "actor/lr", "step_time": "perf/time_per_step",
        "completions/mean_length": "response_length/mean",
        "completions/clipped_ratio": "response_length/clip_ratio",
        "clip_ratio/region_mean": "actor/pg_clipfrac", "step": "training/global_step",
    }  # fmt: skip
    return {names[key]: value for key, value in row.items() if key in names}


@pytest.fixture
def state(tmp_path):
    """Write rows as the ``trainer_state.json`` of a checkpoint and return its path."""

    def write(rows, folder="checkpoint-10"):
        path = tmp_path / folder / "trainer_state.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        history = [*rows, {"step": 10, "eval_loss": 0.3}, {"step": 300, "train_runtime": 9.0}]
        path.write_text(json.dumps({"global_step": 300, "log_history": history}))
        return path

    return write
