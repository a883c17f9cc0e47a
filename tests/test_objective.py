"""Where a method meets the loss, by hand."""

from dataclasses import replace

import pytest
import torch

from aent import (
    EntropySlopes,
    Fixed,
    Method,
    Rollouts,
    Tokens,
    changed_rewards,
    clip_edges,
    entropy_sum,
    first_order_effect,
    rollout_advantages,
    token_advantages,
    with_terms,
)

GRID = torch.ones(2, 2)
TOKENS = Tokens(
    logp=-GRID,
    old_logp=-GRID,
    entropy=torch.tensor([[0.5, 9.0], [1.0, 0.25]]),
    full_entropy=torch.tensor([[0.5, 9.0], [1.0, 0.25]]),
    advantages=GRID,
    mask=torch.tensor([[1.0, 0.0], [1.0, 1.0]]),
    coef=0.2,
)
ROLLOUTS = Rollouts(rewards=torch.tensor([[1.0, 2.0]]), mean_logp=pytest.fail)


def test_rewards_change_before_the_baseline():
    method = Method(name="tripled", rewards=lambda rollouts: 3 * rollouts.rewards)
    assert changed_rewards(method, ROLLOUTS).tolist() == [[3.0, 6.0]]
    made = rollout_advantages(method, ROLLOUTS, lambda rewards: rewards - 1)
    assert made.tolist() == [[2.0, 5.0]]


def test_advantages_of_the_method_replace_the_baseline_and_see_the_changed_rewards():
    method = Method(
        name="both",
        rewards=lambda rollouts: 3 * rollouts.rewards,
        group_advantages=lambda rollouts: rollouts.rewards + 0.5,
    )
    assert rollout_advantages(method, ROLLOUTS, pytest.fail).tolist() == [[3.5, 6.5]]


def test_without_parts_the_host_is_left_alone():
    none = Method(name="none")
    assert changed_rewards(none, ROLLOUTS) is ROLLOUTS.rewards
    assert rollout_advantages(none, ROLLOUTS, lambda rewards: -rewards).tolist() == [[-1.0, -2.0]]
    assert token_advantages(none, TOKENS) is TOKENS.advantages
    assert clip_edges(none, replace(TOKENS, clip=(0.1, 0.3))) == (0.1, 0.3)
    loss = torch.tensor(1.0)
    assert with_terms(loss, none, TOKENS, host_mean=pytest.fail, count=5) is loss


def test_shaped_advantages_and_edges_carry_no_gradient():
    logp = TOKENS.logp.clone().requires_grad_()
    tokens = replace(TOKENS, logp=logp)
    method = Method(
        name="shaped",
        token_advantages=lambda tokens: tokens.advantages * tokens.logp,
        clip=lambda tokens: (-tokens.logp, 2 * tokens.ratio),
    )
    assert token_advantages(method, tokens).tolist() == [[-1.0, -1.0], [-1.0, -1.0]]
    low, high = clip_edges(method, tokens)
    assert (low.tolist(), high.tolist()) == ([[1.0, 1.0], [1.0, 1.0]], [[2.0, 2.0], [2.0, 2.0]])
    assert not any(x.requires_grad for x in (token_advantages(method, tokens), low, high))


@pytest.mark.parametrize("flipped", [False, True])
def test_a_number_beside_a_tensor_becomes_a_tensor(flipped):
    """`torch.clamp`, with which hosts and examples/own_loop.py clip, refuses one of each."""
    wide = torch.full_like(TOKENS.logp, 0.3)
    pair = (wide, 0.2) if flipped else (0.2, wide)
    low, high = clip_edges(Method(name="mixed", clip=lambda tokens: pair), TOKENS)
    clamped = torch.tensor([[0.5, 2.0], [0.5, 2.0]]).clamp(1 - low, 1 + high)
    row = [0.7, 1.2] if flipped else [0.8, 1.3]
    torch.testing.assert_close(clamped, torch.tensor([row, row]))


def test_bonus_by_hand():
    """loss 1, entropies of unmasked tokens 0.5 + 1.0 + 0.25, 5 tokens in the window, coef 0.2:
    1 - 0.2 * 1.75 / 5 = 0.93; the gradient of each unmasked entropy is -0.2 / 5.
    """
    entropy = TOKENS.entropy.clone().requires_grad_()
    method = Method(name="bonus", controller=Fixed(coef=0.2))
    tokens = replace(TOKENS, entropy=entropy)
    loss = with_terms(torch.tensor(1.0), method, tokens, host_mean=pytest.fail, count=5)
    loss.backward()
    assert loss.item() == pytest.approx(0.93)
    torch.testing.assert_close(entropy.grad, -0.04 * TOKENS.mask)


def test_penalty_by_hand():
    """Twice the entropy as a penalty, which the host averages to its sum over 4: 1 + 2 * 10.75 / 4, and no
    gradient reaches the entropy through it.
    """
    entropy = TOKENS.entropy.clone().requires_grad_()
    method = Method(name="penalty", penalty=lambda tokens: 2 * tokens.entropy)
    loss = with_terms(
        torch.tensor(1.0, requires_grad=True),
        method,
        replace(TOKENS, entropy=entropy),
        host_mean=lambda values: values.sum() / 4,
        count=5,
    )
    loss.backward()
    assert loss.item() == pytest.approx(6.375)
    assert entropy.grad is None


def test_a_coefficient_of_0_adds_nothing_to_the_graph():
    method = Method(name="bonus", controller=Fixed(coef=0.0), bonus=pytest.fail)
    loss = torch.tensor(1.0)
    assert with_terms(loss, method, replace(TOKENS, coef=0.0), host_mean=pytest.fail, count=5) is loss


def test_a_positive_coefficient_raises_entropy():
    """One descent step on the bonus alone makes a peaked policy flatter."""
    logits = torch.tensor([[[2.0, 0.0, -1.0]]], requires_grad=True)
    entropy = torch.distributions.Categorical(logits=logits).entropy()
    tokens = replace(TOKENS, entropy=entropy, mask=torch.ones(1, 1))
    method = Method(name="bonus", controller=Fixed(coef=1.0))
    with_terms(torch.tensor(0.0), method, tokens, host_mean=pytest.fail, count=1).backward()
    stepped = torch.distributions.Categorical(logits=logits - 0.1 * logits.grad).entropy()
    assert stepped.item() > entropy.item()


def test_the_controller_sees_the_mean_over_unmasked_tokens():
    """0.5 + 1 + 0.25 over 3 tokens; the masked 9 does not count."""
    tokens = replace(TOKENS, entropy=TOKENS.entropy.clone().requires_grad_())
    total, weight = entropy_sum(Method(name="none"), tokens)
    assert (total.item(), weight.item()) == (1.75, 3.0)
    assert not total.requires_grad


def test_a_method_may_measure_otherwise_without_gradient():
    tokens = replace(TOKENS, entropy=TOKENS.entropy.clone().requires_grad_())
    method = Method(name="own", measure=lambda tokens: (2 * tokens.entropy.max(), tokens.mask[0].sum()))
    total, weight = entropy_sum(method, tokens)
    assert (total.item(), weight.item()) == (18.0, 1.0)
    assert not total.requires_grad


def host_sum(values):
    return (values * TOKENS.mask).sum()


def effect(tokens, method=Method(name="bonus", controller=Fixed(coef=0.2)), count=5.0):  # noqa: B008
    return tuple(x.item() for x in first_order_effect(method, tokens, host_mean=host_sum, count=count))


SLOPES = EntropySlopes(
    target=torch.tensor([[0.5, 9.0], [0.25, -1.0]]),
    mean=torch.tensor([[0.1, 9.5], [0.5, -0.5]]),
    square=torch.tensor([[1.0, 99.0], [2.0, 4.0]]),
)


def test_first_order_effect_by_hand():
    """A (target - mean) with A = 1, 3, -2: 0.4, 3 * -0.25, -2 * -0.5: pull 0.65. Squares 1 + 2 + 4 over 5
    tokens: push 1.4, whatever the coefficient in force and the entropy. The masked token counts nowhere.
    """
    tokens = replace(TOKENS, slopes=SLOPES, advantages=torch.tensor([[1.0, 7.0], [3.0, -2.0]]))
    assert effect(tokens) == pytest.approx((0.65, 1.4))
    assert effect(replace(tokens, coef=9.0, entropy=TOKENS.entropy + 1)) == pytest.approx((0.65, 1.4))


def test_the_importance_weight_scales_the_pull_of_each_token_but_not_the_push():
    """Weights 2, 0.5 and 3: 2 * 0.4 + 0.5 * -0.75 + 3 * 1 = 3.425; one weight of 0.5 for all: 0.325."""
    tokens = replace(TOKENS, slopes=SLOPES, advantages=torch.tensor([[1.0, 7.0], [3.0, -2.0]]))
    each = replace(tokens, weight=torch.tensor([[2.0, 5.0], [0.5, 3.0]]))
    assert effect(each) == pytest.approx((3.425, 1.4))
    assert effect(replace(tokens, weight=0.5)) == pytest.approx((0.325, 1.4))


def test_the_push_is_that_of_the_methods_own_bonus():
    """A bonus of 2 coef H in the first row and -coef H in the second: (2 * 1 - 2 - 4) / 5 = -0.8."""
    method = Method(
        name="own",
        controller=Fixed(coef=0.2),
        bonus=lambda tokens: torch.tensor([[2.0], [-1.0]]) * tokens.coef * tokens.entropy,
    )
    assert effect(replace(TOKENS, slopes=SLOPES), method)[1] == pytest.approx(-0.8)


def test_without_slopes_or_a_bonus_there_is_no_effect():
    assert effect(TOKENS) == (0, 0)
    assert effect(replace(TOKENS, mask=torch.zeros(2, 2))) == (0, 0)  # not NaN
    assert effect(replace(TOKENS, slopes=SLOPES), Method(name="none", bonus=None)) == (0, 0)
