"""The reference against finite differences and against a second way of writing the entropy."""

import pytest
import torch

from aent.ops import linear_token_stats, token_stats
from aent.subsets import Fraction, Full, TopK, TopP

SUBSETS = [Full(), Fraction(drop=0.4), TopK(k=3), TopP(mass=0.7)]


@pytest.mark.parametrize("subset", SUBSETS)
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_gradients(subset, temperature):
    torch.manual_seed(0)
    logits = torch.randn(3, 7, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 3, 6])

    def f(z):
        return token_stats(z, targets, subset=subset, temperature=temperature, backend="reference")[:2]

    assert torch.autograd.gradcheck(f, logits)


def test_gradients_of_the_linear_door():
    torch.manual_seed(0)
    inputs = [torch.randn(*s, dtype=torch.float64, requires_grad=True) for s in ((3, 4), (7, 4), (7,))]

    def f(hidden, weight, bias):
        return linear_token_stats(
            hidden,
            weight,
            torch.tensor([0, 3, 6]),
            bias=bias,
            subset=TopK(k=3),
            softcap=2.0,
            temperature=0.7,
            backend="reference",
        )[:2]

    assert torch.autograd.gradcheck(f, inputs)


@pytest.mark.parametrize("subset", SUBSETS)
def test_entropy_is_that_of_the_policy_renormalised_on_the_kept_tokens(subset):
    torch.manual_seed(1)
    logits = torch.randn(20, 9, dtype=torch.float64)  # no ties: a set of tokens is kept
    stats = token_stats(logits, torch.zeros(20, dtype=torch.long), subset=subset, backend="reference")
    for row, entropy in zip(logits, stats.entropy, strict=True):
        cut = subset.cut(row[None])
        kept = row if cut is None else row[row >= cut.threshold[0]]
        assert entropy.item() == pytest.approx(torch.distributions.Categorical(logits=kept).entropy().item())
