"""The enumerated MDPs: values by hand, gradients by autograd, bounds where equality holds."""

import numpy as np
import pytest
import torch

from aent.study.tree import (
    GRADIENT_CONSTANT,
    bias_bound,
    evaluate,
    gradient,
    gradient_bound,
    norm,
    reach,
    soft_optimum,
    stationary_bound,
)

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
