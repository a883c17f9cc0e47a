"""The Triton backend against the reference.

On a GPU the tests below run as they are. Elsewhere Triton interprets its kernels, which it has to be
told before its first import: one test runs this file anew in a process of its own, with
TRITON_INTERPRET=1, and the others are skipped. An interpreted row takes a tenth of a second.
"""

import importlib.util
import math
import os
import subprocess
import sys
from contextlib import nullcontext

import pytest
import torch

from aent.errors import InputError
from aent.ops import BACKENDS, reference
from aent.ops.backends import triton
from aent.ops.head import Head
from aent.subsets import Cut, Fraction, Full, TopK, TopP

TRITON = BACKENDS["triton"]
GPU = torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
INSTALLED = importlib.util.find_spec("triton") is not None

RUN_HERE = INSTALLED and (GPU or INTERPRETED)

needs_triton = pytest.mark.skipif(not INSTALLED, reason="the package triton is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:triton")  # numpy's, of infinities
kernels = pytest.mark.skipif(
    not RUN_HERE,
    reason="run by test_in_the_interpreter, where the package triton is installed",
)


class MinP:
    """A subset of a user's own: all tokens at least a tenth as probable as the best one."""

    __str__ = __repr__ = lambda self: "MinP()"

    def cut(self, logits):
        threshold = logits.amax(-1, keepdim=True) + math.log(0.1)
        return Cut(threshold, torch.ones_like(threshold))


class Everything:
    __str__ = __repr__ = lambda self: "Everything()"

    def cut(self, logits):
        return None


BUILT_IN = [Full(), Fraction(drop=0.3), TopK(k=20), TopP(mass=0.9137)]
SUBSETS = [*BUILT_IN, MinP(), Everything()]
# relative to the largest value of the reference (or to 1, if that is smaller): values, gradients
TOLERANCES = {
    torch.float32: (1e-6, 5e-6),
    torch.bfloat16: (1e-6, 8e-3),  # the statistics are float32; the gradient is rounded
    torch.float16: (1e-6, 1e-3),
}


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch):
    """Blocks not full, queues that overflow, samples smaller than rows, several chunks."""
    torch.manual_seed(0)
    if not RUN_HERE:
        return
    from aent.ops.backends import triton_launch

    tiles = triton_launch.Tiles(block=256, depth=2, segment=4, backward=512)
    monkeypatch.setattr(triton_launch, "TILES", tiles)
    monkeypatch.setattr(triton, "CHUNK", 2500)


def awkward_rows(vocab, dtype):
    """Random, peaked, tied, all equal, partly impossible, with an outlier, sorted both ways."""
    z = 3 * torch.randn(8, vocab)
    z[1] *= 4
    z[2] = z[2].round()
    z[3] = 0
    z[4, torch.randperm(vocab)[: vocab // 2]] = -math.inf
    z[5, vocab // 3] = 200
    z[6] = z[6].sort().values
    z[7] = z[7].sort(descending=True).values
    targets = z.argmax(-1)
    targets[:2] = torch.randint(0, vocab, (2,))
    targets[5] = 0  # as improbable as can be
    return z.to(DEVICE, dtype), targets.to(DEVICE)


def logits_door(backend, logits, targets, up, subset, temperature=1.0):
    """Return (logp, entropy, full_entropy, gradient) of Σ up_0 logp + up_1 entropy."""
    z = logits.clone().requires_grad_()
    stats = backend.token_stats(z, targets, subset, temperature)
    (up[0] * stats.logp + up[1] * stats.entropy).sum().backward()
    return *(x.detach() for x in stats), z.grad


def linear_door(backend, hidden, weight, bias, targets, up, subset, temperature, softcap):
    leaves = [None if x is None else x.clone().requires_grad_() for x in (hidden, weight, bias)]
    entered = []

    def gather():
        entered.append(True)
        return nullcontext()

    stats = backend.linear_token_stats(*leaves, targets, subset, temperature, softcap, gather)
    (up[0] * stats.logp + up[1] * stats.entropy).sum().backward()
    assert len(entered) == (backend is TRITON)
    return *(x.detach() for x in stats), *(x.grad for x in leaves if x is not None)


def assert_agree(given, expected, dtype, roundings=1):
    for i, (a, b) in enumerate(zip(given, expected, strict=True)):
        assert torch.isfinite(a).all(), i
        scale = max(1.0, b.abs().max().item()) if i < 3 else b.abs().max().item()
        error = (a.double() - b.double()).abs().max().item() / scale
        assert error <= TOLERANCES[dtype][i >= 3] * (roundings if i >= 3 else 1), (i, error)


def measured(logits, targets, subset):
    """Return all that forward keeps of each row; the last columns are (threshold, share)."""
    stats = torch.empty(len(logits), 8, device=DEVICE)
    triton.arithmetic(logits, subset, Head(logits.dtype)).measure(logits, targets, stats)
    return stats


def assert_cut_exactly(logits, targets, subset):
    stats = measured(logits, targets, subset)
    cut = subset.cut(logits.float())
    assert torch.equal(stats[:, 6:7], cut.threshold)
    assert torch.equal(stats[:, 7:8], cut.share)


# ---- in this process


@needs_triton
@pytest.mark.skipif(GPU or INTERPRETED, reason="the tests below run in this process")
def test_in_the_interpreter():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", __file__],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]


def test_refuses_what_it_cannot_do(monkeypatch):
    targets = torch.zeros(2, dtype=torch.long)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(InputError, match=r"this input is on cpu.* use backend='auto'"):
        TRITON.token_stats(torch.zeros(2, 3), targets, Full(), 1.0)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pytest.raises(InputError, match=r"the logits are torch.float64.* use backend='chunked'"):
        TRITON.token_stats(torch.zeros(2, 3, dtype=torch.float64), targets, Full(), 1.0)
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(InputError, match="needs the package triton: `pip install triton`"):
        TRITON.token_stats(torch.zeros(2, 3), targets, Full(), 1.0)


# ---- on a GPU, or in the interpreter


@kernels
@pytest.mark.parametrize(
    ("dtype", "vocab", "temperature", "subset"),
    [
        *((torch.float32, 1000, 1.0, subset) for subset in SUBSETS),
        *((torch.bfloat16, 1000, 0.7, subset) for subset in BUILT_IN),
        (torch.float16, 1000, 1.0, Fraction(drop=0.3)),
        (torch.float32, 4097, 1.0, Fraction(drop=0.3)),
        (torch.float32, 4097, 1.0, TopP(mass=0.9137)),
    ],
    ids=str,
)
def test_logits_door_agrees(dtype, vocab, temperature, subset):
    logits, targets = awkward_rows(vocab, dtype)
    if vocab > 4000:
        logits, targets = logits[:3], targets[:3]
    up = torch.randn(2, len(logits), device=DEVICE)
    given = logits_door(TRITON, logits, targets, up, subset, temperature)
    expected = logits_door(reference, logits.double(), targets, up, subset, temperature)
    assert {x.dtype for x in given[:3]} == {torch.float32}
    assert given[3].dtype == dtype
    for i in range(len(logits)):  # row by row: a large value would hide a wrong one
        assert_agree([x[i] for x in given], [x[i] for x in expected], dtype)


@kernels
@pytest.mark.parametrize(
    ("subset", "dtype"),
    [
        (Fraction(drop=0.3), torch.float32),
        (Fraction(drop=0.999), torch.float16),
        (TopK(k=20), torch.bfloat16),
        (TopP(mass=0.9137), torch.float32),
        (TopP(mass=0.5137), torch.bfloat16),
    ],
    ids=str,
)
def test_cut_is_exact(subset, dtype):
    assert_cut_exactly(*awkward_rows(1000, dtype), subset)


@kernels
@pytest.mark.parametrize("level", [-50.0, 50.0])
def test_cut_is_exact_where_the_sample_misleads(level):
    from aent.ops.backends import triton_launch

    size, *_ = triton_launch._sample_plan(1000, 300, triton_launch.TILES)
    assert 0 < size < 300
    i = torch.arange(size)
    logits = torch.randn(2, 1000, device=DEVICE)
    logits[:, i // 4 * (996 // (size // 4 - 1)) + i % 4] = level  # just what is sampled
    logits[1] += torch.randn(1000, device=DEVICE) / 8
    assert_cut_exactly(logits, torch.zeros(2, dtype=torch.long, device=DEVICE), Fraction(drop=0.3))


@kernels
def test_cut_is_exact_with_the_sizes_of_use(monkeypatch):
    from aent.ops.backends import triton_launch

    monkeypatch.setattr(triton_launch, "TILES", triton_launch.Tiles())
    z = 3 * torch.randn(1, 20_011, device=DEVICE)  # above a third of the queues: sampled
    targets = torch.zeros(1, dtype=torch.long, device=DEVICE)
    assert_cut_exactly(z, targets, Fraction(drop=0.3))
    assert_cut_exactly(z[:, :999], targets, TopK(k=50))


@kernels
@pytest.mark.parametrize("subset", [Full(), Fraction(drop=0.3), TopP(mass=0.9137), MinP()], ids=str)
@pytest.mark.parametrize(
    ("dtype", "bias", "softcap", "temperature"),
    [
        (torch.float32, False, None, 1.0),
        (torch.float32, True, 3.0, 1.3),
        (torch.bfloat16, True, None, 0.7),
    ],
    ids=str,
)
def test_linear_door_agrees(subset, dtype, bias, softcap, temperature):
    rows, vocab, dim = 5, 999, 6  # CHUNK makes chunks of two rows
    hidden = torch.randn(rows, dim, device=DEVICE, dtype=dtype)
    weight = torch.randn(vocab, dim, device=DEVICE, dtype=dtype)
    offset = torch.randn(vocab, device=DEVICE, dtype=dtype) if bias else None
    targets = torch.randint(0, vocab, (rows,), device=DEVICE)
    up = torch.randn(2, rows, device=DEVICE)
    args = hidden, weight, offset, targets, up, subset, temperature, softcap
    given = linear_door(TRITON, *args)
    assert all(x.dtype == (torch.float32 if i < 3 else dtype) for i, x in enumerate(given))
    expected = linear_door(reference, *args)  # in the same dtype: logits are rounded alike
    assert_agree(given, expected, dtype, roundings=2)  # of the logits' gradient, of the product


@kernels
def test_values_by_hand():
    # p = 1/2, 1/4, 1/8, 1/8; three places: q = 4/7, 2/7, 1/7, the last shared by two tokens
    logits = torch.tensor([[4.0, 2.0, 1.0, 1.0]], device=DEVICE).log()
    target = torch.tensor([1], device=DEVICE)
    up = torch.tensor([[0.0], [1.0]], device=DEVICE)
    log2 = math.log(2)
    for subset in (Fraction(drop=0.25), TopK(k=3), TopP(mass=0.8)):
        logp, entropy, full, grad = logits_door(TRITON, logits, target, up, subset)
        assert logp.item() == pytest.approx(-2 * log2)
        assert entropy.item() == pytest.approx(math.log(7) - 10 / 7 * log2)
        assert full.item() == pytest.approx(1.75 * log2)
        # -w q (log q + H), as in test_doors.py
        expected = [-16 / 49 * log2, 6 / 49 * log2, 5 / 49 * log2, 5 / 49 * log2]
        assert grad[0].tolist() == pytest.approx(expected, rel=1e-5)


@kernels
@pytest.mark.parametrize("mass", [0.5, 0.6, 0.7, 0.8, 0.9])
def test_mass_is_compared_exactly(mass):
    # ten equal tokens: a mass of 0.8 is eight of them, not nine because 0.8 was rounded up
    logits = torch.zeros(1, 10, device=DEVICE)
    target = torch.zeros(1, dtype=torch.long, device=DEVICE)
    stats = TRITON.token_stats(logits, target, TopP(mass=mass), 1.0)
    assert stats.entropy.item() == pytest.approx(math.log(10 * mass))


@kernels
@pytest.mark.parametrize("subset", [Fraction(drop=0.3), TopP(mass=0.9137)], ids=str)
def test_repeatable_to_the_bit_and_the_order_of_tokens_does_not_matter(subset):
    logits, targets = (x[:3] for x in awkward_rows(1000, torch.bfloat16))
    plain = measured(logits, targets, subset)
    assert torch.equal(measured(logits, targets, subset), plain)
    order = torch.randperm(1000, device=DEVICE)
    moved = measured(logits[:, order], order.argsort()[targets], subset)
    assert torch.equal(moved[:, 6:], plain[:, 6:])  # threshold, share
    torch.testing.assert_close(moved[:, :3], plain[:, :3], rtol=1e-6, atol=1e-6)


@kernels
def test_full_subset_makes_both_entropies_equal():
    logits, targets = awkward_rows(1000, torch.float32)
    stats = TRITON.token_stats(logits, targets, Full(), 1.0)
    assert torch.equal(stats.entropy, stats.full_entropy)


@kernels
def test_full_entropy_never_carries_gradient():
    logits = torch.randn(2, 10, device=DEVICE, requires_grad=True)
    targets = torch.zeros(2, dtype=torch.long, device=DEVICE)
    stats = TRITON.token_stats(logits, targets, TopK(k=3), 1.0)
    assert [x.requires_grad for x in stats] == [True, True, False]


@kernels
@pytest.mark.parametrize("subset", [Fraction(drop=0.3), TopP(mass=0.9137)], ids=str)
def test_not_a_number_ends_and_stays_in_its_row(subset):
    logits = torch.randn(3, 1000, device=DEVICE)
    logits[0] = math.nan
    logits[1, 500] = math.nan
    stats = measured(logits, torch.zeros(3, dtype=torch.long, device=DEVICE), subset)
    assert stats[:2, :3].isnan().all()
    assert stats[2].isfinite().all()


@kernels
def test_rows_need_not_lie_together():
    logits = torch.randn(300, 4, device=DEVICE)
    targets, up = torch.arange(4, device=DEVICE)[::2], torch.randn(2, 2, device=DEVICE)
    for view in (logits.t()[::2], torch.randn(4, 300, device=DEVICE)[::2]):
        given = logits_door(TRITON, view, targets, up, TopK(k=9))
        expected = logits_door(TRITON, view.contiguous(), targets.clone(), up, TopK(k=9))
        torch.testing.assert_close(given, expected, rtol=0, atol=0)


@kernels
def test_no_rows():
    hidden = torch.randn(0, 4, device=DEVICE, requires_grad=True)
    weight = torch.randn(50, 4, device=DEVICE, requires_grad=True)
    targets = torch.zeros(0, dtype=torch.long, device=DEVICE)
    args = None, targets, TopK(k=2), 1.0, None, nullcontext
    stats = TRITON.linear_token_stats(hidden, weight, *args)
    (stats.logp + stats.entropy).sum().backward()
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.zeros_like(weight))
