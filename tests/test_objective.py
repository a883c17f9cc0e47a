from dataclasses import replace

import pytest
import torch

from aent import Fixed, Method, with_terms
from aent.method import Tokens

GRID = torch.ones(2, 2)
TOKENS = Tokens(
    logp=-GRID,
    old_logp=-GRID,
    entropy=torch.tensor([[0.5, 9.0], [1.0, 0.25]]),
    advantages=GRID,
    mask=torch.tensor([[1.0, 0.0], [1.0, 1.0]]),
    coef=0.2,
)


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


def test_a_positive_coefficient_raises_entropy():
    """One descent step on the bonus alone makes a peaked policy flatter."""
    logits = torch.tensor([[[2.0, 0.0, -1.0]]], requires_grad=True)
    entropy = torch.distributions.Categorical(logits=logits).entropy()
    tokens = replace(TOKENS, entropy=entropy, mask=torch.ones(1, 1))
    method = Method(name="bonus", controller=Fixed(coef=1.0))
    with_terms(torch.tensor(0.0), method, tokens, host_mean=pytest.fail, count=1).backward()
    stepped = torch.distributions.Categorical(logits=logits - 0.1 * logits.grad).entropy()
    assert stepped.item() > entropy.item()
