"""The arithmetic of a block of rows: statistics by hand, the gradient by autograd in float64."""

import math

import pytest
import torch

from aent.ops.closed_form import (
    Kept,
    RowStats,
    Scratch,
    differentiate_,
    entropy_of,
    measure_,
    slices,
    write_cut,
)
from aent.subsets import Cut, Fraction, Full, TopK, TopP

SUBSETS = [Full(), Fraction(drop=0.3), TopK(k=3), TopP(mass=0.8)]


def scratch(z):
    return Scratch(torch.empty_like(z), torch.empty_like(z))


def measured(z, targets, subset):
    out = z.new_empty(len(z), len(RowStats._fields))
    measure_(z.clone(), targets, subset, scratch(z), out)
    return out


def test_a_row_by_hand():
    """Odds 4 : 2 : 1 : 1, three places: S = 2, A = 7/4 relative to the peak; the tied two share a place."""
    z = torch.tensor([[4.0, 2.0, 1.0, 1.0]], dtype=torch.float64).log()
    row = RowStats(*measured(z, torch.tensor([1]), TopK(k=3))[0].tolist())
    log2 = math.log(2)
    assert row.logp == pytest.approx(-2 * log2)
    assert row.full_entropy == pytest.approx(1.75 * log2)
    assert row.entropy == pytest.approx(math.log(7) - 10 / 7 * log2)
    assert (row.peak, row.total, row.kept_total) == pytest.approx((2 * log2, 2.0, 1.75))
    assert (row.threshold, row.share) == (0.0, 0.5)


@pytest.mark.parametrize("subset", SUBSETS, ids=str)
def test_the_gradient_is_that_of_the_formulas(subset):
    """Of 2 logp - 3 H, all but the target's own term, against autograd through softmax and logs."""
    torch.manual_seed(0)
    z = torch.randn(5, 9, dtype=torch.float64)
    z[1] = z[1].round()  # ties
    targets, grads = torch.arange(5), torch.tensor([[2.0, -3.0]], dtype=torch.float64).expand(5, 2)
    leaf = z.clone().requires_grad_()
    cut = subset.cut(z)
    w = torch.ones_like(z) if cut is None else (z > cut.threshold) + cut.share * (z == cut.threshold)
    q = leaf.exp() / (w * leaf.exp()).sum(-1, keepdim=True)
    entropy = -(w * q * q.log()).sum(-1)
    logp = leaf.log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    (2 * logp - 3 * entropy).sum().backward()
    kept = measured(z, targets, subset)[:, -len(Kept._fields) :]
    given = z.clone()
    differentiate_(given, kept, grads, scratch(z), keeps_all=cut is None)
    given[torch.arange(5), targets] += 2
    torch.testing.assert_close(given, leaf.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("subset", [Full(), Fraction(drop=0)], ids=str)
def test_weights_of_one_change_nothing(subset):
    """Where everything is kept, computing the weights gives the same gradient to the bit."""
    torch.manual_seed(0)
    z, targets, grads = torch.randn(3, 7), torch.tensor([0, 1, 2]), torch.randn(3, 2)
    kept = measured(z, targets, subset)[:, -len(Kept._fields) :]
    short, long = z.clone(), z.clone()
    differentiate_(short, kept, grads, scratch(z), keeps_all=True)
    differentiate_(long, kept, grads, scratch(z), keeps_all=False)
    assert torch.equal(short, long)


def test_no_cut_is_a_threshold_that_keeps_impossible_tokens_too():
    rows = torch.full((2, len(RowStats._fields)), math.nan)
    write_cut(None, RowStats(*rows.split(1, -1)))
    assert rows[:, 6:].tolist() == [[-math.inf, 1]] * 2
    write_cut(Cut(torch.tensor([[3.0], [4.0]]), torch.tensor([[0.5], [1.0]])), RowStats(*rows.split(1, -1)))
    assert rows[:, 6:].tolist() == [[3, 0.5], [4, 1]]
    assert rows[:, :6].isnan().all()


def test_entropy_from_two_sums_is_never_negative():
    """Two equal tokens: log 2 - 0; and a moment that rounding has pushed above its limit of 0."""
    sums = torch.tensor([[2.0], [1.0]]), torch.tensor([[0.0], [1e-7]])
    assert entropy_of(*sums)[:, 0].tolist() == pytest.approx([math.log(2), 0.0])


def test_the_last_slice_is_shorter():
    assert list(slices(7, 3)) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert list(slices(0, 3)) == []
