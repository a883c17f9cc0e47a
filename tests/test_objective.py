import pytest
import torch

from aent import with_bonus


def test_bonus_by_hand():
    """loss 1, entropies of unmasked tokens 0.5 + 1.0 + 0.25, 5 tokens in the window, coef 0.2:
    1 - 0.2 * 1.75 / 5 = 0.93; the gradient of each unmasked entropy is -0.2 / 5.
    """
    entropy = torch.tensor([[0.5, 9.0], [1.0, 0.25]], requires_grad=True)
    mask = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    loss = with_bonus(torch.tensor(1.0), entropy, mask, coef=0.2, tokens=5)
    loss.backward()
    assert loss.item() == pytest.approx(0.93)
    torch.testing.assert_close(entropy.grad, -0.04 * mask)


def test_a_positive_coefficient_raises_entropy():
    """One descent step on the bonus alone makes a peaked policy flatter."""
    logits = torch.tensor([[[2.0, 0.0, -1.0]]], requires_grad=True)
    entropy = torch.distributions.Categorical(logits=logits).entropy()
    with_bonus(torch.tensor(0.0), entropy, torch.ones(1, 1), coef=1.0, tokens=1).backward()
    stepped = torch.distributions.Categorical(logits=logits - 0.1 * logits.grad).entropy()
    assert stepped.item() > entropy.item()
