"""The chunked backend against the reference."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aent import ops
from aent.ops.backends import chunked
from aent.subsets import Fraction, Full, TopK, TopP

token_stats = partial(ops.token_stats, backend="chunked")
linear_token_stats = partial(ops.linear_token_stats, backend="chunked")

SUBSETS = [
    Full(),
    Fraction(drop=0),
    Fraction(drop=0.3),
    Fraction(drop=0.999),
    TopK(k=1),
    TopK(k=20),
    TopP(mass=0.9),
]
# relative to the largest value of the reference (or to 1, if that is smaller): values, gradients
TOLERANCES = {
    torch.float64: (1e-13, 1e-13),
    torch.float32: (1e-6, 5e-6),
    torch.bfloat16: (1e-6, 8e-3),  # the statistics are float32; the gradient is rounded to bfloat16
}

every_subset = pytest.mark.parametrize("subset", SUBSETS, ids=str)
every_dtype = pytest.mark.parametrize("dtype", TOLERANCES, ids=str)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Several chunks of several blocks, none of them full, in the small cases below."""
    torch.manual_seed(0)
    monkeypatch.setattr(chunked, "BLOCK", 300)
    monkeypatch.setattr(chunked, "CHUNK", 1000)
    monkeypatch.setattr(chunked, "CHUNK_ROWS", 5)


def logits_door(logits, targets, up, **options):
    """Return (logp, entropy, full_entropy, gradient) of Σ up_0 logp + up_1 entropy."""
    z = logits.clone().requires_grad_()
    stats = token_stats(z, targets, **options)
    (up[0] * stats.logp + up[1] * stats.entropy).sum().backward()
    return *(x.detach() for x in stats), z.grad


def linear_door(hidden, weight, bias, targets, up, **options):
    leaves = [None if x is None else x.clone().requires_grad_() for x in (hidden, weight, bias)]
    stats = linear_token_stats(leaves[0], leaves[1], targets, bias=leaves[2], **options)
    (up[0] * stats.logp + up[1] * stats.entropy).sum().backward()
    return *(x.detach() for x in stats), *(x.grad for x in leaves if x is not None)


def assert_agree(given, expected, dtype):
    for i, (a, b) in enumerate(zip(given, expected, strict=True)):
        assert torch.isfinite(a).all()
        scale = max(1.0, b.double().abs().max().item())
        error = (a.double() - b.double()).abs().max().item() / scale
        assert error <= TOLERANCES[dtype][i >= 3], (i, error)


@every_subset
@every_dtype
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize(("rows", "vocab"), [(1, 1), (1, 2), (7, 301), (37, 53)])
def test_logits_door_agrees(subset, dtype, temperature, rows, vocab):
    logits = 3 * torch.randn(rows, vocab, dtype=dtype)
    targets, up = torch.randint(0, vocab, (rows,)), torch.randn(2, rows, dtype=dtype)
    options = {"subset": subset, "temperature": temperature}
    assert_agree(
        logits_door(logits, targets, up, backend="chunked", **options),
        logits_door(logits, targets, up, backend="reference", **options),
        dtype,
    )


@every_subset
@every_dtype
@pytest.mark.parametrize(
    ("bias", "softcap", "temperature"), [(False, None, 1.0), (True, None, 0.7), (True, 3.0, 1.3)]
)
def test_linear_door_agrees(subset, dtype, bias, softcap, temperature):
    rows, vocab, dim = 37, 53, 6
    hidden, weight = torch.randn(rows, dim, dtype=dtype), torch.randn(vocab, dim, dtype=dtype)
    offset = torch.randn(vocab, dtype=dtype) if bias else None
    targets, up = torch.randint(0, vocab, (rows,)), torch.randn(2, rows, dtype=dtype)
    options = {"subset": subset, "temperature": temperature, "softcap": softcap}
    assert_agree(
        linear_door(hidden, weight, offset, targets, up, backend="chunked", **options),
        linear_door(hidden, weight, offset, targets, up, backend="reference", **options),
        dtype,
    )


ROWS = {
    "all equal": torch.zeros(11),
    "ties everywhere": torch.tensor([1.0, 0, 1, 0, 1, 0, 1, 0, 1, 0, -1]),
    "outlier": torch.cat([torch.tensor([200.0]), torch.randn(10)]),
    "large": 1e4 * torch.randn(11),
    "far from zero": 1000 + torch.randn(11),
    "some impossible": torch.tensor([0.0, 1, 2] + [-math.inf] * 8),
    "all but one impossible": torch.tensor([0.0] + [-math.inf] * 10),
}


@every_subset
@pytest.mark.parametrize("name", ROWS)
def test_awkward_rows_agree(subset, name):
    logits = ROWS[name].double().expand(3, -1)
    targets, up = torch.tensor([0, 1, 2]), torch.ones(2, 3, dtype=torch.float64)
    given = logits_door(logits, targets, up, subset=subset, backend="chunked")
    expected = logits_door(logits, targets, up, subset=subset, backend="reference")
    torch.testing.assert_close(given, expected, rtol=1e-12, atol=1e-12)
    assert torch.isfinite(given[1]).all()
    assert torch.isfinite(given[3]).all()


def test_golden_values_of_awkward_rows():
    targets, up = torch.zeros(1, dtype=torch.long), torch.tensor([[0.0], [1.0]])
    _, entropy, full, _ = logits_door(torch.zeros(1, 10), targets, up, subset=Fraction(drop=0.3))
    assert entropy.item() == pytest.approx(math.log(7))  # 7 places of equal tokens
    assert full.item() == pytest.approx(math.log(10))
    _, entropy, _, grad = logits_door(torch.randn(1, 10), targets, up, subset=TopK(k=1))
    assert entropy.item() == 0
    assert grad.abs().max() < 1e-7  # one token: nothing to gain
    impossible = torch.tensor([[0.0, 0.0, -math.inf, -math.inf]])
    _, entropy, _, grad = logits_door(impossible, targets, up, subset=TopK(k=3))
    assert entropy.item() == pytest.approx(math.log(2))  # the third place holds no probability
    assert grad.tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize("subset", [Full(), Fraction(drop=0.3)])
def test_accuracy_in_float32(subset, monkeypatch):
    monkeypatch.undo()
    logits = 3 * torch.randn(8, 4096)
    targets, up = torch.randint(0, 4096, (8,)), torch.randn(2, 8)
    given = logits_door(logits, targets, up, subset=subset)
    exact = logits_door(logits.double(), targets, up.double(), subset=subset, backend="reference")
    for a, b in zip(given[:3], exact[:3], strict=True):
        assert (a.double() - b).abs().max() <= 2e-6
    assert (given[1].double() - exact[1]).abs().max() <= 1e-6
    assert (given[3].double() - exact[3]).abs().max() <= 1e-5 * exact[3].abs().max()


small_rows = st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=16)
subsets = st.sampled_from([Full(), Fraction(drop=0.3), TopK(k=3), TopP(mass=0.8)])


@settings(deadline=None, max_examples=50)
@given(values=small_rows, drop=st.floats(0, 0.999))
def test_entropy_lies_between_zero_and_log_kept(values, drop):
    kept = len(values) - int(drop * len(values))
    stats = token_stats(torch.tensor([values]), torch.tensor([0]), subset=Fraction(drop=drop))
    assert 0 <= stats.entropy.item() <= math.log(kept) + 1e-6
    assert stats.logp.item() <= 0


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.integers(-3, 3), min_size=2, max_size=16), subset=subsets, data=st.data())
def test_order_of_tokens_does_not_matter(values, subset, data):
    order = torch.tensor(data.draw(st.permutations(range(len(values)))))
    logits, up = torch.tensor([values], dtype=torch.float64), torch.ones(2, 1)
    plain = logits_door(logits, order[:1], up, subset=subset)
    moved = logits_door(logits[:, order], torch.tensor([0]), up, subset=subset)
    torch.testing.assert_close(moved[:3], plain[:3], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(moved[3], plain[3][:, order], rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(
    values=st.lists(st.integers(-9, 9), min_size=2, max_size=16),
    shift=st.integers(-500, 500),
    subset=subsets,
)
def test_a_shift_of_all_logits_does_not_matter(values, shift, subset):
    logits, up = torch.tensor([values], dtype=torch.float64), torch.ones(2, 1)
    plain = logits_door(logits, torch.tensor([1]), up, subset=subset)
    moved = logits_door(logits + shift, torch.tensor([1]), up, subset=subset)
    torch.testing.assert_close(moved, plain, rtol=1e-12, atol=1e-12)


@every_subset
def test_size_of_blocks_does_not_matter(subset, monkeypatch):
    hidden, weight = torch.randn(37, 6).double(), torch.randn(53, 6).double()
    args = hidden, weight, None, torch.randint(0, 53, (37,)), torch.randn(2, 37).double()
    small = linear_door(*args, subset=subset)
    monkeypatch.undo()
    torch.testing.assert_close(small, linear_door(*args, subset=subset), rtol=1e-12, atol=1e-12)
