"""The arithmetic of a calibration, by hand and against autograd."""

import math

import pytest
import torch

from aent import Fraction, Full, InputError, TopK
from aent.advantages import grpo_advantages
from aent.calibration.block import aent_block
from aent.calibration.reading import SUBSETS, Reading, reading, token_sums
from aent.methods.load import load_method
from aent.ops import token_stats
from aent.statistics import Figure, ratio


def test_advantages_are_grpos():
    """Mean 1/2 and deviation sqrt(1/3); a group of equal rewards has none; NaN stands aside."""
    rewards = torch.tensor([[1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0], [1.0, 0.0, torch.nan, torch.nan]])
    made = grpo_advantages(rewards)
    first = 0.5 / (math.sqrt(1 / 3) + 1e-4)
    third = 0.5 / (math.sqrt(1 / 2) + 1e-4)
    torch.testing.assert_close(made[0], torch.tensor([first, -first, first, -first]))
    torch.testing.assert_close(made[1], torch.zeros(4))
    torch.testing.assert_close(made[2], torch.tensor([third, -third, 0, 0]))


def test_one_token_by_hand():
    """p = (1/2, 1/4, 1/4) has H = 3/2 log 2 and g = -p (log p + H) = (-1/4, 1/8, 1/8) log 2."""
    logits = torch.tensor([[2.0, 1.0, 1.0]]).double() * math.log(2)
    made = token_sums(logits, torch.tensor([0]), torch.tensor([2.0]), Full())
    log2 = math.log(2)
    mean = (-1 / 8 + 1 / 32 + 1 / 32) * log2
    pull = 2 * (-log2 / 4 - mean)
    push = (1 / 16 + 1 / 64 + 1 / 64) * log2**2
    assert made.tolist() == pytest.approx([1, 1.5 * log2, 0, pull, push])


def test_probability_left_out_shares_ties_at_the_cut():
    """Of 1/2, 1/4, 1/4 two tokens are kept: the first and half of each of the others."""
    logits = torch.tensor([[2.0, 1.0, 1.0]]) * math.log(2)
    made = token_sums(logits, torch.tensor([1]), torch.tensor([0.0]), TopK(k=2))
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
    made = token_sums(z, targets, advantages, subset, temperature=0.7)
    expected = torch.stack([entropy.detach(), (g * policy).sum(), g.square().sum()])
    torch.testing.assert_close(made[[1, 3, 4]], expected)


def test_a_ratio_and_its_error_by_hand():
    """4 / 2, with residuals -1 and 1: error^2 = 2 / 1 * (1 + 1) / 2^2 = 1."""
    assert ratio(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0])) == pytest.approx((2.0, 1.0))
    assert ratio(torch.tensor([2.0, 6.0]), torch.tensor([1.0, 3.0])) == pytest.approx((2.0, 0.0))


def test_the_error_is_what_repeated_measurements_scatter_by():
    """500 draws of 50 prompts of unequal length: within a tenth of the standard deviation of the ratio."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 20, (500, 50), generator=generator).double()
    sums = 0.3 * lengths + torch.randn(500, 50, generator=generator, dtype=torch.float64) * lengths.sqrt()
    made = [ratio(a, b) for a, b in zip(sums, lengths, strict=True)]
    values = torch.tensor([figure.value for figure in made])
    errors = torch.tensor([figure.error for figure in made])
    assert errors.mean() == pytest.approx(values.std().item(), rel=0.1)


def test_a_reading_by_hand():
    """Two prompts, of 1 and 3 tokens: sums over tokens, not means of means."""
    made = reading(torch.tensor([[1, 0.5, 0.1, -0.2, 1.0], [3, 2.5, 0.3, -0.2, 3.0]], dtype=torch.float64))
    assert made.entropy.value == pytest.approx(3 / 4)
    assert made.dropped == pytest.approx((0.1, 0))
    assert (made.pull.value, made.push.value) == pytest.approx((-0.1, 1.0))
    assert made.hold == pytest.approx((0.1, math.sqrt(2 * 2 * 0.1**2) / 4))


def test_readings_that_say_nothing():
    with pytest.raises(InputError, match="sample at least 2"):
        reading(torch.ones(1, 5))
    with pytest.raises(InputError, match="certain of every token"):
        reading(torch.tensor([[1.0, 0, 0, 0, 0], [1.0, 0, 0, 0, 0]]))


def measured(hold=0.1, error=0.01, pull=-0.004):
    zero = Figure(0.0, 0.0)
    return Reading(
        entropy=Figure(0.6, 0.01),
        dropped=zero,
        pull=Figure(pull, abs(pull) / 10),
        push=Figure(0.04, 0.001),
        hold=Figure(hold, error),
    )


def test_the_block():
    """h = .1, H = .6: box .01 to .055, .035 at the start, band .39 to .6, lr .045 / .6."""
    block = aent_block(measured(), Fraction(drop=0.33))
    assert block == {
        "name": "aent", "drop": 0.33, "coef": 0.035, "low": 0.39, "high": 0.6, "lr": 0.075,
        "coef_min": 0.01, "coef_max": 0.055, "warmup": 0,
    }  # fmt: skip


@pytest.mark.parametrize("subset", SUBSETS.values(), ids=SUBSETS)
def test_the_block_loads(subset):
    method = load_method(aent_block(measured(), subset))
    assert method.subset == subset
    assert method.controller is not None
    assert method.controller.band == (0.39, 0.6)


def test_no_block_without_a_pull():
    with pytest.raises(InputError, match="all rewards are equal"):
        aent_block(measured(pull=0.0, hold=0.0, error=0.0), Full())
    with pytest.raises(InputError, match="not clearly above 0"):
        aent_block(measured(hold=0.1, error=0.06), Full())
    with pytest.raises(InputError, match=r"hold = -0.1"):
        aent_block(measured(hold=-0.1), Full())
