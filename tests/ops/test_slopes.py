"""Slopes of the entropy against autograd, and against what a step really does."""

import pytest
import torch

from aent import Fraction, Full, InputError, TopK, TopP
from aent.ops import EntropySlopes, entropy_slopes, logit_slopes, token_stats
from aent.ops.slopes import MOST

SUBSETS = [Full(), Fraction(drop=0.4), TopK(k=5), TopP(mass=0.8)]


def make(rows=6, dim=5, vocab=17, seed=0):
    generator = torch.Generator().manual_seed(seed)
    hidden, weight, bias = (
        torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in ((rows, dim), (vocab, dim), (vocab,))
    )
    targets = torch.randint(vocab, (rows,), generator=generator)
    return hidden, weight, bias, targets


@pytest.mark.parametrize("subset", SUBSETS, ids=repr)
@pytest.mark.parametrize("softcap", [None, 2.0])
def test_they_are_the_sums_of_autograds_gradient(subset, softcap):
    """With respect to what a softcap is taken of, in units of the logits after the temperature."""
    hidden, weight, bias, targets = make()
    x = (hidden @ weight.t() + bias).requires_grad_()
    z = x if softcap is None else softcap * torch.tanh(x / softcap)
    stats = token_stats(z, targets, subset=subset, temperature=0.7, backend="reference")
    (g,) = torch.autograd.grad(stats.entropy.sum(), x)
    g = g * 0.7
    along = torch.ones_like(x) if softcap is None else 1 - (z / softcap).square().detach()
    p = (z / 0.7).softmax(-1).detach()
    made = entropy_slopes(hidden, weight, targets, bias=bias, subset=subset, temperature=0.7, softcap=softcap)
    at = targets[:, None]
    torch.testing.assert_close(made.target, (g * along).gather(-1, at)[:, 0])
    torch.testing.assert_close(made.mean, (p * g * along).sum(-1))
    torch.testing.assert_close(made.square, g.square().sum(-1))


def test_a_step_changes_the_entropy_by_what_they_say():
    """One policy-gradient step with advantage 2 along the logits, and one along the entropy: 1e-4 of each."""
    hidden, weight, bias, targets = make(seed=3)
    z = hidden @ weight.t() + bias
    made = entropy_slopes(hidden, weight, targets, bias=bias)
    here = token_stats(z, targets, backend="reference").entropy
    policy = 2 * (torch.nn.functional.one_hot(targets, 17) - z.softmax(-1))
    leaf = z.clone().requires_grad_()
    (bonus,) = torch.autograd.grad(token_stats(leaf, targets, backend="reference").entropy.sum(), leaf)
    for step, said in ((policy, 2 * (made.target - made.mean)), (bonus, made.square)):
        there = token_stats(z + 1e-4 * step, targets, backend="reference").entropy
        torch.testing.assert_close((there - here) / 1e-4, said, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("subset", SUBSETS, ids=repr)
def test_existing_logits_have_the_same_slopes_in_any_batch(subset):
    hidden, weight, bias, targets = make()
    made = entropy_slopes(hidden, weight, targets, bias=bias, subset=subset, temperature=0.7)
    logits = (hidden @ weight.t() + bias).view(2, 3, 17)
    again = logit_slopes(logits, targets.view(2, 3), subset=subset, temperature=0.7)
    for x, y in zip(made, again, strict=True):
        torch.testing.assert_close(y, x.view(2, 3))


def test_a_certain_token_has_no_slope():
    hidden, targets = torch.tensor([[200.0, 0.0]]), torch.tensor([0])
    weight = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    assert entropy_slopes(hidden, weight, targets) == EntropySlopes(*(torch.zeros(1) for _ in range(3)))


def test_under_autocast_the_weight_may_have_another_dtype():
    """As in `linear_token_stats`; a product of what bfloat16 holds is exact in float32 here."""
    hidden, weight, bias, targets = (x.bfloat16() if x.is_floating_point() else x for x in make())
    whole = entropy_slopes(hidden.float(), weight.float(), targets, bias=bias.float())
    with torch.autocast("cpu", torch.bfloat16):
        mixed = entropy_slopes(hidden, weight.float(), targets, bias=bias.float())
    for x, y in zip(mixed, whole, strict=True):
        torch.testing.assert_close(x, y)


def test_no_rows_have_no_slopes():
    hidden, weight, _, targets = make()
    made = entropy_slopes(hidden[:0], weight, targets[:0], subset=TopP(mass=0.8))
    assert [x.shape for x in made] == [(0,)] * 3


def test_of_many_rows_some_are_measured_evenly():
    hidden, weight, _, targets = make(rows=2 * MOST + 1)
    some, first = entropy_slopes(hidden, weight, targets), slice(0, 12)
    alone = entropy_slopes(hidden[first], weight, targets[first])
    assert (some.square > 0)[:7].tolist() == [True, False, False, True, False, False, True]
    assert (some.square > 0).sum() == -(-(2 * MOST + 1) // 3)
    torch.testing.assert_close(some.square[first][::3], alone.square[::3])
    assert some.square[1:3].tolist() == [0, 0]


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan")])
def test_a_temperature_or_softcap_that_is_not_positive_is_refused(wrong):
    hidden, weight, _, targets = make()
    with pytest.raises(InputError, match="`temperature` is"):
        logit_slopes(hidden @ weight.t(), targets, temperature=wrong)
    with pytest.raises(InputError, match="`temperature` is"):
        entropy_slopes(hidden, weight, targets, temperature=wrong)
    with pytest.raises(InputError, match="`softcap` is"):
        entropy_slopes(hidden, weight, targets, softcap=wrong)
