"""Advantages and the critic's loss, by hand and against the sums they abbreviate."""

from math import inf, nan, sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aent.advantages import (
    explained_variance,
    gae,
    grpo_advantages,
    moments,
    right,
    terminal_rewards,
    value_loss,
    whiten,
)


def alone(sums):
    """One rank."""
    return sums


def t(*rows):
    return torch.tensor(rows)


def close(got, *rows):
    torch.testing.assert_close(got, torch.tensor(rows), rtol=0, atol=1e-6)


def test_the_reward_comes_with_the_last_token():
    # full length; ended after two tokens; a tool wrote tokens 1 and 3; no token at all
    mask = t([1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0])
    got = terminal_rewards(torch.tensor([1.0, 2.0, 3.0, 4.0]), mask)
    close(got, [0.0, 0, 0, 1], [0.0, 2, 0, 0], [0.0, 0, 3, 0], [0.0, 0, 0, 0])


def test_gae_by_hand():
    values = t([0.2, 0.4, 0.6])
    rewards = t([0.0, 0.0, 1.0])
    mask = t([1, 1, 1])
    # gamma 1, lam 1/2: delta = (.4 - .2, .6 - .4, 1 - .6) = (.2, .2, .4)
    # A_2 = .4, A_1 = .2 + .4 / 2 = .4, A_0 = .2 + .4 / 2 = .4; R = A + V
    advantages, returns = gae(rewards, values, mask, gamma=1.0, lam=0.5)
    close(advantages, [0.4, 0.4, 0.4])
    close(returns, [0.6, 0.8, 1.0])
    # gamma 1/2, lam 1/2: delta = (.2 - .2, .3 - .4, 1 - .6) = (0, -.1, .4)
    # A_2 = .4, A_1 = -.1 + .4 / 4 = 0, A_0 = 0 + 0 / 4 = 0
    advantages, returns = gae(rewards, values, mask, gamma=0.5, lam=0.5)
    close(advantages, [0.0, 0.0, 0.4])
    close(returns, [0.2, 0.4, 1.0])


def test_gae_steps_over_what_the_policy_did_not_write():
    # Steps are tokens 0 and 2, with values .2 and .6; 9 stands where nobody may look.
    # gamma 1, lam 1/2: delta = (.6 - .2, 1 - .6) = (.4, .4); A = (.4 + .4 / 2, .4)
    values, mask = t([0.2, 9.0, 0.6, 9.0], [9.0, 9.0, 9.0, 9.0]), t([1, 0, 1, 0], [0, 0, 0, 0])
    rewards = t([0.0, 0, 1, 0], [0.0, 0, 0, 0])
    advantages, returns = gae(rewards, values, mask, gamma=1.0, lam=0.5)
    close(advantages, [0.6, 0, 0.4, 0], [0.0, 0, 0, 0])
    close(returns, [0.8, 0, 1.0, 0], [0.0, 0, 0, 0])


@given(
    st.lists(st.tuples(st.booleans(), st.floats(-2, 2), st.floats(-2, 2)), min_size=1, max_size=7),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_gae_is_the_discounted_sum_of_errors(tokens, gamma, lam):
    """Equation 16 of the paper: A_t = sum_l (gamma lam)^l delta_{t+l}, on the steps alone."""
    mask, rewards, values = (
        torch.tensor([column], dtype=torch.float64) for column in zip(*tokens, strict=True)
    )
    got, _ = gae(rewards, values, mask, gamma=gamma, lam=lam)
    steps = [i for i, (step, _, _) in enumerate(tokens) if step]
    for place, i in enumerate(steps):
        expected = 0.0
        for later, j in enumerate(steps[place:]):
            after = values[0, steps[place + later + 1]] if place + later + 1 < len(steps) else 0.0
            expected += (gamma * lam) ** later * (rewards[0, j] + gamma * after - values[0, j])
        assert got[0, i].item() == pytest.approx(float(expected), abs=1e-9)
    assert all(got[0, i] == 0 for i, (step, _, _) in enumerate(tokens) if not step)


def test_whitening_by_hand():
    # Advantages 1, 2, 3 count, 100 does not: mean 2, variance (1 + 0 + 1) / 2 = 1
    got = whiten(t([1.0, 2.0], [3.0, 100.0]), t([1, 1], [1, 0]), alone)
    close(got, [-1.0, 0.0], [1.0, 0.0])


def test_whitening_counts_the_other_ranks():
    """This rank holds 1 and 2, another 3: it adds (3, 1) to sum and count, then (3 - 2)^2 to the squares."""
    of_the_other = iter([torch.tensor([3.0, 1.0]), torch.tensor([1.0])])
    got = whiten(t([1.0, 2.0]), t([1, 1]), lambda sums: sums + next(of_the_other))
    close(got, [-1.0, 0.0])


def test_whitening_without_spread_or_tokens():
    assert whiten(t([0.5, 0.5]), t([1, 1]), alone).abs().max() == 0
    assert whiten(t([0.5, 0.7]), t([0, 0]), alone).abs().max() == 0
    assert whiten(t([0.5, 0.7]), t([1, 0]), alone).abs().max() == 0
    assert [m.item() for m in moments(t([0.5, 0.7]), t([0, 0]), alone)] == [0, 0]


def test_explained_variance_by_hand():
    # Returns 0 and 1 (variance 1/2), errors -1/4 and 1/4 (variance 1/8): 1 - 1/4. The third does not count.
    got = explained_variance(t([-0.25, 0.25, 7.0]), t([0.0, 1.0, 9.0]), t([1, 1, 0]), alone)
    assert got.item() == pytest.approx(0.75)
    assert explained_variance(t([0.1, 0.2]), t([1.0, 1.0]), t([1, 1]), alone).isnan()


def test_value_loss_by_hand():
    # Old values 1/2, new ones 1, clip .2, so that the clipped value is .7.
    # R = 2: max((1 - 2)^2, (.7 - 2)^2) / 2 = 1.69 / 2. R = 0: max(1, .49) / 2. R = .8: max(.04, .01) / 2.
    old, returns = t([0.5, 0.5, 0.5]), t([2.0, 0.0, 0.8])
    values = t([1.0, 1.0, 1.0]).requires_grad_()
    losses = value_loss(values, old, returns, clip=0.2)
    close(losses, [0.845, 0.5, 0.02])
    # The first has gone far enough towards its return; the others follow V - R
    losses.sum().backward()
    close(values.grad, [0.0, 1.0, 0.2])
    close(value_loss(values, old, returns, clip=inf).detach(), [0.5, 0.5, 0.02])


def test_nothing_hides_a_broken_value():
    assert value_loss(t([nan]), t([0.0]), t([0.0]), clip=0.2).isnan().all()


def test_advantages_are_grpos():
    """Mean 1/2 and deviation sqrt(1/3); a group of equal rewards has none; NaN stands aside."""
    rewards = torch.tensor([[1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0], [1.0, 0.0, torch.nan, torch.nan]])
    advantages = grpo_advantages(rewards)
    first = 0.5 / (sqrt(1 / 3) + 1e-4)
    third = 0.5 / (sqrt(1 / 2) + 1e-4)
    torch.testing.assert_close(advantages[0], torch.tensor([first, -first, first, -first]))
    torch.testing.assert_close(advantages[1], torch.zeros(4))
    torch.testing.assert_close(advantages[2], torch.tensor([third, -third, 0, 0]))


@pytest.mark.parametrize(
    ("rewards", "expected"),
    [
        ([[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]]),
        ([[-1.0, 1.0], [1.0, 1.0]], [[0.0, 1.0], [1.0, 1.0]]),
        ([[1.1, 0.9], [0.1, 1.1 + 1e-7]], [[1.0, 0.0], [0.0, 1.0]]),  # sums, with their rounding
        ([[0.7, 0.7], [0.7, 0.7]], [[0.0, 0.0], [0.0, 0.0]]),  # nothing tells right from wrong
    ],
)
def test_right_is_what_earns_the_best_reward_of_all(rewards, expected):
    assert right(torch.tensor(rewards)).tolist() == expected
