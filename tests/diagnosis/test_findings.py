"""Each thing that looks wrong is found in a log that has it, and in no healthy one."""

import re

import numpy as np
import pytest

from aent.diagnosis.findings import findings
from aent.diagnosis.movement import entropy_movement

N = 60
LATE = np.r_[np.zeros(40), np.ones(20)]


def names(rows):
    return [finding.name for finding in findings(rows, entropy_movement(rows))]


@pytest.mark.parametrize("seed", range(10))
def test_a_healthy_run_has_none(run, seed):
    assert names(run("steady", seed=seed)) == []


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("not-finite", {"loss": np.where(LATE > 0, np.nan, 0.1)}, "from step 205, in 20 logged rows"),
        ("not-finite", {"loss": np.where(LATE > 0, -1.7e308, 0.1)}, "from step 205, in 20 logged rows"),
        ("empty-windows", {"loss": 0.1 * (1 - LATE), "grad_norm": 1 - LATE}, r"20 of 60 .*first at step 205"),
        ("truncated", {"completions/clipped_ratio": 0.02 + 0.5 * LATE}, r"52% .*at first 2%"),
        ("length-drift", {"completions/mean_length": np.linspace(300, 900, N)}, "from 325.4 to 874.6 tokens"),
        ("length-drift", {"completions/mean_length": np.linspace(300, 90, N)}, "from 291.1 to 98.9 tokens"),
        ("divergence", {"ppo_kl": 0.3 * LATE}, "0.3 nats per token in one step"),
        ("divergence", {"kl": 2 * LATE}, "2 nats per token from the reference"),
        ("clipping", {"clip_ratio/region_mean": 0.01 + 0.2 * LATE}, "21% of the tokens are clipped"),
        ("equal-groups", {"frac_reward_zero_std": 0.2 + 0.7 * LATE}, "90% of the groups"),
        ("gradient-spikes", {"grad_norm": 1 + 99 * (np.arange(N) == 30)}, "100 at step 155, 100 times"),
        ("slower", {"step_time": 10 + 10 * LATE}, "20 s, at first 10 s"),
        ("flat-reward", {"reward": 0.3 + 0.01 * (np.arange(N) % 2)}, "no gain beyond its noise"),
        (
            "pinned",
            {"aent/coef": np.minimum(np.arange(N) * 1e-3, 0.02), "aent/entropy": 0.1, "aent/low": 0.2},
            "stays at 0.02 .* in 30 of the last 30 rows",
        ),
    ],
)
def test_each_thing_that_is_wrong_is_found(run, name, changes, says):
    rows = run("steady", **changes)
    (found,) = findings(rows, entropy_movement(rows))
    assert found.name == name
    assert re.search(says, found.text), found.text


def test_steps_without_entropy_trained_on_nothing(run):
    rows = run("steady")
    for row in rows[10:13]:
        del row["entropy"]
    (found,) = findings(rows, entropy_movement(rows))
    assert (found.name, found.text[:8]) == ("empty-windows", "3 of 60 ")


def test_a_coefficient_that_moves_or_an_entropy_in_its_band_is_not_pinned(run):
    inside = {"aent/coef": 0.02, "aent/entropy": 0.3, "aent/low": 0.2}
    assert names(run("steady", **inside)) == []
    assert names(run("steady", **{**inside, "aent/entropy": 0.1, "aent/coef": np.arange(N) / N})) == []
