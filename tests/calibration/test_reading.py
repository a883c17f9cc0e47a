"""The arithmetic of a calibration, by hand and against autograd."""

import math

import pytest
import torch

from aent import Full, InputError, TopK
from aent.calibration.reading import SUBSETS, reading, token_terms, weighted
from aent.ops import token_stats


def token_sums(logits, targets, advantages, subsets, temperature=1.0):
    terms = token_terms(logits, targets, subsets, temperature)
    return weighted(terms, advantages[:, None].expand(-1, len(subsets))).sum(0)


def test_one_token_by_hand():
    """p = (1/2, 1/4, 1/4) has H = 3/2 log 2 and g = -p (log p + H) = (-1/4, 1/8, 1/8) log 2."""
    logits = torch.tensor([[2.0, 1.0, 1.0]]).double() * math.log(2)
    made = token_sums(logits, torch.tensor([0]), torch.tensor([2.0]), [Full()])[0]
    log2 = math.log(2)
    mean = (-1 / 8 + 1 / 32 + 1 / 32) * log2
    pull = 2 * (-log2 / 4 - mean)
    push = (1 / 16 + 1 / 64 + 1 / 64) * log2**2
    assert made.tolist() == pytest.approx([1, 1.5 * log2, 0, pull, push, 2**2 * (1 - 2 / 2 + 3 / 8)])


def test_probability_left_out_shares_ties_at_the_cut():
    """Of 1/2, 1/4, 1/4 two tokens are kept: the first and half of each of the others."""
    logits = torch.tensor([[2.0, 1.0, 1.0]]) * math.log(2)
    made = token_sums(logits, torch.tensor([1]), torch.tensor([0.0]), [TopK(k=2)])[0]
    assert made[2] == pytest.approx(0.25)


@pytest.mark.parametrize("subset", SUBSETS.values(), ids=SUBSETS)
def test_pull_and_push_are_autograds(subset):
    """The mean clamped entropy's derivative along both steps, at a temperature of 0.7."""
    generator = torch.Generator().manual_seed(0)
    z = 2 * torch.randn(7, 150, generator=generator, dtype=torch.float64)
    targets = torch.randint(150, (7,), generator=generator)
    advantages = torch.randn(7, generator=generator, dtype=torch.float64)
    leaf = (z / 0.7).requires_grad_()
    entropy = token_stats(leaf, targets, subset=subset, backend="reference").entropy.sum()
    (g,) = torch.autograd.grad(entropy, leaf)
    (policy,) = torch.autograd.grad((advantages * leaf.log_softmax(-1)[range(7), targets]).sum(), leaf)
    made = token_sums(z, targets, advantages, [Full(), subset], temperature=0.7)[1]
    expected = torch.stack([entropy.detach(), (g * policy).sum(), g.square().sum()])
    torch.testing.assert_close(made[[1, 3, 4]], expected)


def test_a_reading_by_hand():
    """Two prompts, of 1 and 3 tokens: sums over tokens, not means of means."""
    made = reading(
        torch.tensor([[1, 0.5, 0.1, -0.2, 1.0, 4.0], [3, 2.5, 0.3, -0.2, 3.0, 5.0]], dtype=torch.float64)
    )
    assert made.entropy.value == pytest.approx(3 / 4)
    assert made.dropped == pytest.approx((0.1, 0))
    assert (made.pull.value, made.push.value) == pytest.approx((-0.1, 1.0))
    assert made.size == pytest.approx(1.5)  # sqrt(9 / 4)
    assert made.hold == pytest.approx((0.1, math.sqrt(2 * 2 * 0.1**2) / 4))


def test_readings_that_say_nothing():
    with pytest.raises(InputError, match="sample at least 2"):
        reading(torch.ones(1, 6))
    with pytest.raises(InputError, match="certain of every token"):
        reading(torch.tensor([[1.0, 0, 0, 0, 0, 0], [1.0, 0, 0, 0, 0, 0]]))


def test_the_size_of_the_policy_gradient_is_autograds():
    generator = torch.Generator().manual_seed(1)
    leaf = torch.randn(5, 30, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(30, (5,), generator=generator)
    advantages = torch.randn(5, generator=generator, dtype=torch.float64)
    (policy,) = torch.autograd.grad((advantages * leaf.log_softmax(-1)[range(5), targets]).sum(), leaf)
    sums = token_sums(leaf.detach(), targets, advantages, [Full()])
    assert sums[0, 5].item() == pytest.approx(policy.square().sum().item())


def test_each_subset_is_cut_once_for_each_chunk(monkeypatch):
    cuts = []

    class Watched:
        def cut(self, logits):
            cuts.append(len(logits))
            return TopK(k=2).cut(logits)

    monkeypatch.setattr("aent.calibration.reading.CHUNK", 8)
    token_terms(torch.randn(5, 4), torch.zeros(5, dtype=torch.long), [Watched()])
    assert cuts == [2, 2, 1]
