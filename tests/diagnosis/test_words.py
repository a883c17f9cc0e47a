"""Whole diagnoses, as they are read."""

import re

import numpy as np
import pytest

from aent.diagnosis.diagnose import diagnose
from aent.logs.read import read_log


@pytest.fixture
def text(state):
    return lambda rows: " ".join(diagnose(read_log(state(rows))).text.split())


def test_a_collapsed_run(run, text):
    entropy = 0.8 * np.exp(-np.arange(60) / 15)
    told = text(run(entropy, 0.9 - 0.3 * np.exp(entropy)))
    assert "trainer_state.json, 60 logged rows, steps 5 to 300" in told
    assert "Entropy has collapsed: 0.68" in told
    assert "nats per token, 97% less." in told
    assert "It is gone: under 5% of the start." in told
    assert "less than a tenth of what the run has gained: what entropy could buy is bought" in told
    assert 'aent_method="aent-auto",' in told


def test_a_run_that_collapsed_long_ago_and_a_reward_that_stands_still(text):
    """Its last half lies at 0 without a trend; it was said not to run out."""
    rows = [{"step": t, "entropy": max(0.0, 0.5 - 0.05 * t), "reward": 1.0} for t in range(1, 31)]
    told = text(rows)
    assert "Entropy has collapsed: 0.4 to 0 nats per token" in told
    assert "It is gone: under 5% of the start." in told
    assert "does not run out" not in told
    assert "or one of the two hardly moved" in told  # the entropy did, the reward did not


def test_a_falling_run_has_a_date(run, text):
    told = text(run("falling"))
    assert "Entropy is falling" in told
    assert "At this rate 5% of the start is left at step 893 (95 % interval" in told


def test_a_healthy_run(run, text):
    told = text(run("steady"))
    assert "Entropy is steady" in told
    assert "does not run out at this rate" in told
    assert "Suspicious nothing. Try nothing: keep the settings." in told


def test_an_exploding_run(run, text):
    told = text(run("exploded", np.full(60, 0.2), **{"aent/coef": 0.05}))
    assert "Entropy has exploded" in told
    assert "In the last half of the log it grows." in told
    assert "The bonus is too strong" in told


def test_a_broken_run(run, text):
    broken = np.r_[np.full(30, 0.8), np.full(30, np.nan)]
    told = text(run(broken, loss=broken))
    assert "- loss and entropy not finite from step 155, in 30 logged rows [loss]." in told
    assert "Take smaller steps" in told


def test_a_short_log_says_what_is_missing(run, text):
    told = text(run([0.8, 0.7, 0.6, 0.5]))
    assert "4 rows are too few for a rate; log at least 16." in told
    assert "No fit to the entropy" in told


def test_a_log_without_entropy_or_reward(run, text):
    rows = run("steady")
    without = [{k: v for k, v in row.items() if k != "entropy"} for row in rows]
    assert "Entropy is not logged" in text(without)
    without = [{k: v for k, v in row.items() if k != "reward"} for row in rows]
    assert "Reward is not logged" in text(without)


def test_a_start_of_0_has_no_share(run, text):
    told = text(run(np.r_[np.zeros(6), np.linspace(0.1, 0.4, 54)]))
    assert re.search(r"Entropy has exploded: 0 to 0\.3\d+ nats per token\. In", told)
    assert "Entropy is steady: 0 to 0 nats per token. " in text(run(np.zeros(60)))


def test_two_rows_are_too_few(run, text):
    told = text(run([0.8, 0.7], [0.1, 0.2]))
    assert "Entropy is not logged, or in fewer than three rows that are finite." in told
    assert "Reward is not logged, or in fewer than three rows that are finite" in told
