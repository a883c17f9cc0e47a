"""What every backend on a CPU promises, on rows that are hard: the cut, the figures, the order of tokens.

Triton has its own file: it is interpreted in a process of its own. Rows are compared with float64.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aent import Fraction, Full, TopK, TopP, token_stats
from aent.ops.backends import chunked, native
from aent.ops.closed_form import RowStats
from aent.ops.head import Head

pytest.importorskip("numba")

BACKENDS = ["reference", "chunked", "native"]
MAKERS = {"chunked": lambda x, *rest: chunked.Chunked(*rest), "native": native.arithmetic}
SUBSETS = [Full(), Fraction(drop=0.3), Fraction(drop=0.999), TopK(k=1), TopK(k=20), TopP(mass=0.9)]
COUNTED = SUBSETS[1:5]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
# of the largest: float32 as promised; of 16 bits the gradient itself is rounded
GRADIENT = {torch.float32: 1e-5, torch.bfloat16: 4e-3, torch.float16: 5e-4}

every_backend = pytest.mark.parametrize("backend", BACKENDS)
every_subset = pytest.mark.parametrize("subset", SUBSETS, ids=str)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def hard_rows(vocab):
    torch.manual_seed(vocab)
    normal = 3 * torch.randn(vocab)
    impossible = torch.full((vocab - vocab // 2,), -math.inf)
    return torch.stack(
        [
            normal,
            normal.round(),  # ties everywhere
            torch.full((vocab,), -7.25),  # all equal
            (normal > 0).float(),
            normal.sort().values,
            normal.sort(descending=True).values,
            torch.cat([torch.tensor([200.0]), normal[1:]]),
            torch.cat([normal[1:], torch.tensor([200.0])]),
            1000 + normal,
            torch.cat([normal[: vocab // 2], impossible]),
            torch.cat([normal[:1], torch.full((vocab - 1,), -math.inf)]),
        ]
    )


def computed(backend, logits, targets, up, subset):
    """Return (logp, entropy, full_entropy, gradient) of Σ up_0 logp + up_1 entropy."""
    leaf = logits.clone().requires_grad_()
    stats = token_stats(leaf, targets, subset=subset, backend=backend)
    (up[0] * stats.logp + up[1] * stats.entropy).sum().backward()
    return *(x.detach() for x in stats), leaf.grad


def cut_by_sorting(row, kept):
    """Return the smallest kept logit, and the part of those tied with it that is kept."""
    values = sorted(row.tolist(), reverse=True)
    threshold = values[kept - 1]
    above = sum(v > threshold for v in values)
    return threshold, (kept - above) / values.count(threshold)


@pytest.mark.parametrize("backend", MAKERS)
@every_dtype
@pytest.mark.parametrize("subset", COUNTED, ids=str)
@pytest.mark.parametrize("vocab", [2, 21, 4099, 20_001])
def test_cut_is_exact_on_every_row(backend, dtype, subset, vocab):
    rows = hard_rows(vocab).to(dtype)
    out = torch.empty(len(rows), len(RowStats._fields))
    arithmetic = MAKERS[backend](rows, subset, Head(dtype))
    arithmetic.measure(rows, torch.zeros(len(rows), dtype=torch.long), out)
    stats = RowStats(*out.T)
    kept = min(subset.k, vocab) if isinstance(subset, TopK) else vocab - int(subset.drop * vocab)
    for i, row in enumerate(rows):
        threshold, share = cut_by_sorting(row, kept)
        if kept < vocab:
            assert stats.threshold[i].item() == threshold
            assert stats.share[i].item() == pytest.approx(share, rel=1e-6)
        else:  # nothing is cut off: any threshold that keeps all will do
            assert stats.threshold[i].item() <= threshold
            assert stats.share[i].item() == 1


@every_backend
@every_dtype
@every_subset
@pytest.mark.parametrize("vocab", [21, 20_001])
def test_figures_are_those_of_float64(backend, dtype, subset, vocab):
    logits = hard_rows(vocab).to(dtype)
    targets = logits.argmax(-1)
    targets[:2] = torch.tensor([vocab - 1, vocab // 3])
    up = torch.stack([torch.ones(len(logits)), torch.linspace(-1, 1, len(logits))])
    given = computed(backend, logits, targets, up, subset)
    exact = computed("reference", logits.double(), targets, up.double(), subset)
    for i in range(len(logits)):
        logp, entropy, full, grad = (x[i].double() for x in given)
        assert entropy.item() == pytest.approx(exact[1][i].item(), abs=1e-6)
        assert full.item() == pytest.approx(exact[2][i].item(), abs=1e-6)
        assert logp.item() == pytest.approx(exact[0][i].item(), rel=1e-6, abs=1e-6)
        largest = exact[3][i].abs().max()
        # where nothing is left to gain the gradient is 0 but for rounding
        assert (grad - exact[3][i]).abs().max() <= GRADIENT[dtype] * largest.clamp(min=1e-3)


@every_backend
@every_dtype
@every_subset
def test_the_same_again_to_the_bit(backend, dtype, subset):
    logits = hard_rows(4099).to(dtype)
    targets, up = torch.arange(len(logits)), torch.randn(2, len(logits))
    first, again = (computed(backend, logits, targets, up, subset) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@every_backend
@every_dtype
@every_subset
def test_the_order_of_tokens_does_not_matter(backend, dtype, subset):
    logits = hard_rows(4099).to(dtype)
    targets, up = torch.arange(len(logits)), torch.ones(2, len(logits))
    order = torch.randperm(4099)
    plain = computed(backend, logits, targets, up, subset)
    moved = computed(backend, logits[:, order], order.argsort()[targets], up, subset)
    torch.testing.assert_close(moved[:3], plain[:3], rtol=1e-6, atol=2e-6)
    largest = plain[3].abs().amax(-1, keepdim=True).clamp(min=1e-3)
    assert ((moved[3] - plain[3][:, order]).abs() <= GRADIENT[dtype] * largest).all()


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(1, 3),
    values=st.lists(st.floats(-30, 30, width=16) | st.just(-math.inf), min_size=2, max_size=24),
    subset=st.sampled_from([*SUBSETS, TopK(k=3), TopP(mass=0.5)]),
    dtype=st.sampled_from(DTYPES),
    backend=st.sampled_from(BACKENDS),
)
def test_properties(rows, values, subset, dtype, backend):
    """Bounds of entropy, sums of gradients, tokens that cannot be, and what clamping leaves out."""
    values[0] = 0.0  # something is possible
    logits = torch.tensor([values] * rows).to(dtype)
    targets, up = torch.zeros(rows, dtype=torch.long), torch.tensor([[0.0], [1.0]]).expand(2, rows)
    logp, entropy, full, grad = computed(backend, logits, targets, up, subset)
    possible = (logits[0] > -math.inf).sum().item()
    assert (logp <= 0).all()
    assert (entropy >= 0).all()
    assert (entropy <= math.log(possible) + 1e-6).all()
    assert torch.equal(entropy, entropy[:1].expand(rows))  # equal rows, equal figures
    assert (grad.float().sum(-1).abs() <= 24 * GRADIENT[dtype]).all()  # a shift of all changes nothing
    assert (grad[logits == -math.inf] == 0).all()
    if isinstance(subset, Full):
        assert torch.equal(entropy, full)
    if isinstance(subset, TopK):
        assert (entropy <= math.log(subset.k) + 1e-6).all()


@pytest.mark.parametrize("backend", ["reference", "chunked"])
@every_subset
def test_gradients_by_finite_differences(backend, subset):
    torch.manual_seed(0)
    logits = torch.randn(3, 31, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 13, 30])

    def f(z):
        return token_stats(z, targets, subset=subset, temperature=0.7, backend=backend)[:2]

    assert torch.autograd.gradcheck(f, logits)
