"""How entropy and reward moved: recovered from logs whose law is known."""

from math import exp, log

import numpy as np
import pytest

from aent.diagnosis.movement import entropy_movement, movement, trade


@pytest.mark.parametrize("kind", ["collapsed", "falling", "steady", "exploded"])
def test_the_state_of_a_run(run, kind):
    assert entropy_movement(run(kind)).state == kind


@pytest.mark.parametrize(
    ("entropy", "state"),
    [
        (np.r_[np.linspace(0.8, 0.5, 20), np.full(40, 0.5)], "fell"),
        (np.r_[np.linspace(0.8, 1.0, 20), np.full(40, 1.0)], "rose"),
        (np.linspace(0.8, 1.1, 60), "rising"),
    ],
)
def test_a_move_that_ended_is_no_trend(run, entropy, state):
    assert entropy_movement(run(entropy)).state == state


def test_the_rate_of_an_exponential_fall(run):
    """H = 0.8 exp(-t / 60) over rows five steps apart halves every 300 log 2 = 208 steps. Its start is the
    mean over the first six rows, 0.8 mean(exp(-t / 60)); a twentieth of that is left at the step below."""
    moved = entropy_movement(run("falling"))
    assert moved.halving.low <= 300 * log(2) <= moved.halving.high
    assert moved.halving.value == pytest.approx(300 * log(2), rel=0.1)
    start = np.mean([exp(-t / 60) for t in range(6)])
    assert moved.gone_at.value == pytest.approx(5 - 300 * log(0.05 * start), rel=0.1)
    assert moved.gone_at.low < moved.gone_at.value < moved.gone_at.high


def test_no_share_of_a_start_of_0_is_ever_left(run):
    """H = 0 over the first tenth, then 0.8 exp(-t / 60): it halves every 300 log 2 steps, from no start."""
    entropy = 0.8 * np.exp(-np.arange(60) / 60)
    entropy[:6] = 0
    moved = entropy_movement(run(entropy))
    assert (moved.start, moved.direction, moved.gone_at) == (0, -1, None)
    assert moved.halving.value == pytest.approx(300 * log(2), rel=0.1)


def test_a_steady_run_has_no_end(run):
    moved = entropy_movement(run("steady"))
    assert (moved.halving, moved.gone_at, moved.half_step) == (None, None, None)


def test_the_step_at_which_half_was_gone(run):
    """0.8 exp(-t / 15), start = mean over six rows = 0.68: below half of it from t = 13 on, step 70."""
    start = 0.8 * np.mean([exp(-t / 15) for t in range(6)])
    due = next(5 * (t + 1) for t in range(60) if 0.8 * exp(-t / 15) < start / 2)
    assert abs(entropy_movement(run("collapsed")).half_step - due) <= 5


def test_a_short_log_has_ends_but_no_rate(run):
    moved = entropy_movement(run([0.8, 0.7, 0.6, 0.5, 0.4, 0.3]))
    assert (moved.start, moved.end) == (pytest.approx(0.7, rel=0.05), pytest.approx(0.4, rel=0.05))
    assert moved.late is None
    assert entropy_movement(run([0.8, 0.7])) is None


def test_values_that_are_not_finite_are_left_out(run):
    entropy = np.full(60, 0.8)
    entropy[30:] = np.nan
    assert entropy_movement(run(entropy)).rows == 30


def test_the_trade_of_reward_for_entropy_is_recovered(run):
    """R = 0.9 - 0.3 exp(H): a, b, and what is left, a (exp(H_end) - 1), all lie in their intervals."""
    entropy = 0.8 * np.exp(-np.arange(60) / 40)
    fit = trade(run(entropy, 0.9 - 0.3 * np.exp(entropy)))
    assert fit.a.low <= 0.3 <= fit.a.high
    assert fit.b.low <= 0.9 <= fit.b.high
    left = 0.3 * (np.exp(entropy[-6:].mean()) - 1)
    assert fit.left.value == pytest.approx(left, rel=0.05)
    assert (fit.pays, fit.rows) == (True, 60)
    assert fit.r2 > 0.9


def test_reward_that_rises_with_entropy_is_no_trade(run):
    entropy = 0.8 * np.exp(-np.arange(60) / 40)
    assert trade(run(entropy, 0.2 * np.exp(entropy))).pays is False


def test_reward_that_has_nothing_to_do_with_entropy_is_not_said_to_pay():
    """Of 40 logs whose reward is noise, at most a tenth get a verdict."""
    from .conftest import made

    entropy = 0.8 * np.exp(-np.arange(60) / 40)
    verdicts = [trade(made(entropy, np.full(60, 0.3), seed=seed)).pays for seed in range(40)]
    assert sum(v is not None for v in verdicts) <= 4


def test_without_movement_or_rows_there_is_no_fit(run):
    assert trade(run("steady")) is None
    assert trade([{**row, "reward": 0.3} for row in run("falling")]) is None
    assert trade(run(np.linspace(0.8, 0.2, 7))) is None


def test_another_quantity(run):
    moved = movement(run("steady", step_time=np.linspace(10, 30, 60)), "step_time")
    assert (moved.start, moved.end) == (pytest.approx(10.85, abs=0.01), pytest.approx(29.15, abs=0.01))
    assert moved.direction == 1
    assert movement(run("steady"), "kl") is None
