"""What parts of a method get to see, and which parts it has."""

import math
from dataclasses import replace

import pytest
import torch

from aent import Fixed, Method, Tokens
from aent.method import PARTS, scaled_entropy

TOKENS = Tokens(
    logp=torch.tensor([[0.5, 0.2]]).log(),
    old_logp=torch.tensor([[0.25, 0.4]]).log(),
    entropy=torch.tensor([[1.0, 2.0]]),
    full_entropy=torch.tensor([[1.0, 2.0]]),
    advantages=torch.ones(1, 2),
    mask=torch.tensor([[1.0, 0.0]]),
    coef=0.5,
)


def test_the_ratio_is_new_over_old_and_carries_gradient():
    logp = TOKENS.logp.clone().requires_grad_()
    ratio = replace(TOKENS, logp=logp).ratio
    assert ratio.tolist() == [pytest.approx([2.0, 0.5])]
    (slopes,) = torch.autograd.grad(ratio.sum(), logp)
    assert slopes.tolist() == [pytest.approx([2.0, 0.5])]  # d exp(logp - old) = ratio


@pytest.mark.parametrize(
    ("given", "seen"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_everywhere_is_the_unmasked_tokens_of_all_ranks_without_gradient(given, seen):
    gathered = []

    def gather(values):
        gathered.append(values)
        return torch.cat([values, values + 1])

    values = torch.tensor([[3.0, 9.0]], dtype=given, requires_grad=True)
    everywhere = replace(TOKENS, gather=gather).everywhere(values)
    assert everywhere.tolist() == [3.0, 4.0]
    assert (everywhere.dtype, everywhere.requires_grad, len(gathered)) == (seen, False, 1)


def test_the_default_bonus_is_coef_times_entropy():
    assert scaled_entropy(TOKENS).tolist() == [[0.5, 1.0]]
    assert Method(name="m").bonus is scaled_entropy


def test_parts_are_those_that_are_filled_in_the_order_they_act():
    assert Method(name="m").parts == ()
    assert Method(name="m", controller=Fixed(coef=0.1)).parts == ("bonus", "controller")
    assert Method(name="m", controller=Fixed(coef=0.1), bonus=None).parts == ("controller",)
    whole = Method(
        name="m",
        options={"beta": 0.0},
        rewards=lambda rollouts: rollouts.rewards,
        group_advantages=lambda rollouts: rollouts.rewards,
        token_advantages=lambda tokens: tokens.advantages,
        clip=lambda tokens: tokens.clip,
        penalty=lambda tokens: tokens.entropy,
        controller=Fixed(coef=math.pi),
    )
    assert whole.parts == (*PARTS, "controller")
