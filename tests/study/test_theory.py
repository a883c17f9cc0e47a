"""The enumerated MDPs: values by hand, gradients by autograd, bounds where equality holds."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aent.ops import token_stats
from aent.study import theory
from aent.study.report import describe, summary
from aent.study.tree import (
    GRADIENT_CONSTANT,
    bias_bound,
    evaluate,
    gradient,
    gradient_bound,
    norm,
    reach,
    soft_optimum,
    softmax,
    stationary_bound,
)
from aent.subsets import Fraction

COIN = [np.array([[[0.5, 0.5]]])]
HEADS = np.array([[1.0, 0.0]])


def test_a_coin_by_hand():
    """V = 1/2, H = log 2; dV/dz_1 = pi_1 (1 - V) = 1/4, dV/dz_2 = -1/4: norm sqrt(2)/4, and its 1-norm is
    1/2 = log 2 / (2 log 2): the constant of the proof is reached."""
    values = evaluate(COIN, HEADS)
    assert values.reward[0] == 0.5
    assert values.entropy[0] == pytest.approx(np.log(2))
    (slope,) = gradient(COIN, HEADS, 0.0)
    assert slope[0, 0].tolist() == [0.25, -0.25]
    assert norm([slope])[0] == pytest.approx(np.sqrt(2) / 4)
    assert np.abs(slope).sum() == pytest.approx(GRADIENT_CONSTANT * np.log(2))
    assert gradient_bound(COIN, HEADS)[0] == pytest.approx(2 * np.log(2))


def test_two_tokens_by_hand():
    """First token a with 3/4, then 1/2 each; b with 1/4, then surely the first. P = (3/8, 3/8, 1/4, 0), so
    V of r = (1, 0, 0, 1) is 3/8 and H = h(3/4) + 3/4 log 2."""
    policy = [np.array([[[0.75, 0.25]]]), np.array([[[0.5, 0.5], [1.0, 0.0]]])]
    values = evaluate(policy, np.array([[1.0, 0.0, 0.0, 1.0]]))
    first = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
    assert values.reward[0] == 0.375
    assert values.entropy[0] == pytest.approx(first + 0.75 * np.log(2))


@pytest.mark.parametrize("coef", [0.0, 0.3])
def test_gradient_is_autograd_s(coef):
    rng = np.random.default_rng(0)
    logits = [torch.tensor(rng.standard_normal((2, 3**t, 3)), requires_grad=True) for t in range(3)]
    rewards = torch.tensor(rng.random((2, 27)))
    whole = torch.ones(2, 1, dtype=torch.float64)
    for level in logits:
        whole = (whole[..., None] * level.softmax(-1)).reshape(2, -1)
    (whole * (rewards - coef * whole.log())).sum().backward()
    ours = gradient([level.detach().softmax(-1).numpy() for level in logits], rewards.numpy(), coef)
    for level, found in zip(logits, ours, strict=True):
        np.testing.assert_allclose(found, level.grad.numpy(), atol=1e-12)


def test_the_soft_optimum_draws_responses_by_exp_of_the_reward():
    rewards = np.random.default_rng(1).random((2, 8))
    policy = soft_optimum(rewards, actions=2, horizon=3, coef=0.2)
    expected = np.exp(rewards / 0.2)
    np.testing.assert_allclose(reach(policy)[-1], expected / expected.sum(1, keepdims=True), atol=1e-12)
    assert norm(gradient(policy, rewards, 0.2)).max() < 1e-12


def test_bias_bound_is_reached_where_everything_is_optimal():
    """All 9 responses optimal: coef (2 log 3 - log 9) = 0, and the gap is 0."""
    rewards = np.ones((1, 9))
    assert bias_bound(rewards, 3, 2, 0.7)[0] == pytest.approx(0)
    assert 1 - evaluate(soft_optimum(rewards, 3, 2, 0.7), rewards).reward[0] == pytest.approx(0)


def test_bias_bound_is_tight_in_a_large_vocabulary():
    """One of n rewarded: gap = (n - 1) / (e^{1/c} + n - 1), bound = c log n. With 1/c = log(n) - 3 the gap is
    1 / (1 + e^-3) = .9526 and the bound 12.2061 / 9.2061 = 1.3259 at n = 200,000."""
    n = 200_000
    coef = 1 / (np.log(n) - 3)
    rewards = np.zeros((1, n))
    rewards[0, 0] = 1
    gap = 1 - evaluate(soft_optimum(rewards, n, 1, coef), rewards).reward[0]
    assert gap == pytest.approx((n - 1) / (np.exp(1 / coef) + n - 1))
    assert gap == pytest.approx(0.9526, abs=1e-4)
    assert bias_bound(rewards, n, 1, coef)[0] == pytest.approx(1.3259, abs=1e-4)


def test_at_the_optimum_the_stationary_bound_is_the_bias():
    rewards = np.random.default_rng(2).random((3, 16))
    policy = soft_optimum(rewards, actions=4, horizon=2, coef=0.5)
    np.testing.assert_allclose(
        stationary_bound(policy, rewards, 0.5), bias_bound(rewards, 4, 2, 0.5), atol=1e-9
    )


REWARDS, KEPT, COEF = np.array([[0.1, 0.3, 0.5, 0.9, 0.8]]), 2, 0.2
PAIRS = list(combinations(range(5), KEPT))


def test_resting_points_by_hand():
    """Keeping (.9, .8) V is .9 s + .8 (1 - s) with s = 1 / (1 + e^-.5) = .6225: gap .0378. Keeping (.9, .5)
    it is .9 - .4 / (1 + e^2) = .8523, above the .8 that is left out: ascent rests there too. Keeping
    (.8, .5) it would not: .9 is outside."""
    gaps = dict(zip(PAIRS, theory.resting_gaps(REWARDS, COEF, KEPT)[0], strict=True))
    assert gaps[3, 4] == pytest.approx(0.1 / (1 + np.exp(0.5)))
    assert gaps[2, 3] == pytest.approx(0.4 / (1 + np.exp(2)))
    assert np.isnan(gaps[2, 4])


@pytest.mark.parametrize(("start", "pair"), [(-1, (3, 4)), (1, (2, 3))])
def test_ascent_comes_to_rest_where_it_should(start, pair):
    """Exact ascent by autograd, the later actions likelier at the start, or the earlier ones."""
    rewards = torch.tensor(REWARDS[0])
    logits = torch.linspace(start, -start, 5, dtype=torch.float64).requires_grad_()
    for _ in range(1000):
        stats = token_stats(logits, torch.tensor(0), subset=Fraction(drop=0.6), backend="reference")
        (logits.softmax(0) @ rewards + COEF * stats.entropy).backward()
        with torch.no_grad():
            logits += 4.0 * logits.grad
            logits.grad = None
    gap = 0.9 - float(logits.detach().softmax(0) @ rewards)
    assert gap == pytest.approx(theory.resting_gaps(REWARDS, COEF, KEPT)[0, PAIRS.index(pair)], abs=5e-3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 2), st.floats(0.01, 3.0))
def test_the_bounds_hold_anywhere(seed, scale, coef):
    rng = np.random.default_rng(seed)
    rewards = rng.random((5, 27)).round(scale)  # rounded: several optimal responses
    policy = softmax([10**scale * rng.standard_normal((5, 3**t, 3)) for t in range(3)])
    best = rewards.max(1)
    slope = gradient(policy, rewards, 0.0)
    entropy = evaluate(policy, rewards).entropy
    assert (norm(slope) <= GRADIENT_CONSTANT * entropy + 1e-9).all()
    assert (best - evaluate(policy, rewards).reward <= stationary_bound(policy, rewards, coef) + 1e-9).all()
    optimum = soft_optimum(rewards, 3, 3, coef)
    assert (best - evaluate(optimum, rewards).reward <= bias_bound(rewards, 3, 3, coef) + 1e-9).all()
    for kept in (1, 2, 5, 9):
        gaps = theory.resting_gaps(rewards[:, :9], coef, kept)
        assert np.nanmax(gaps) <= coef * np.log(kept) + 1e-9
        assert np.isfinite(gaps).any(1).all()  # there always is a resting point


def test_a_violation_is_found_and_written_out():
    cases = theory.check(seed=0, shape=0)
    assert summary("bias", cases)["violations"] == 0
    wrong = theory.Case("bias", 2, 1, 0.5, value=1.0, bound=0.9, entropy=0.1, where=(0, 0, 3))
    assert wrong.violated
    assert summary("bias", [*cases, wrong])["violations"] == 1
    assert str(theory.random_mdps(0, 0).rewards[3].tolist()) in describe(wrong)


def test_one_step():
    """Without a bonus only the optimal action gains; the full entropy lifts every tail action, the clamped
    one moves no logit of the tail."""
    rows = {row["step"]: row for row in theory.one_step_table()}
    assert set(rows) == {"start", "none", "entropy", "clamped"}
    assert rows["none"]["optimal"] > rows["start"]["optimal"]
    assert rows["entropy"]["tail"] > rows["clamped"]["tail"]
    _, none = theory.one_step(*theory.ONE_STEP["none"])
    _, clamped = theory.one_step(*theory.ONE_STEP["clamped"])
    tail = (clamped / none)[100:]
    torch.testing.assert_close(tail, tail[0].expand_as(tail))  # scaled alike, by the normaliser
