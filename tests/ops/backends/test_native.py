"""The compiled backend against the reference: values, gradients, the exact cut, what it refuses."""

import math
import os
import subprocess
import sys
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aent import ops
from aent.errors import InputError
from aent.ops import backends, reference
from aent.ops.backends import native
from aent.ops.closed_form import RowStats
from aent.ops.head import Head
from aent.subsets import Cut, Fraction, Full, TopK, TopP

NATIVE, CHUNKED = ops.BACKENDS["native"], ops.BACKENDS["chunked"]

pytest.importorskip("numba")
from aent.ops.backends import native_kernels as kernels


class Third:
    """A subset of one's own: the third above one half of a token; rows that begin above 1, whole."""

    def cut(self, logits):
        whole = logits[:, :1] > 1
        if whole.all():
            return None
        threshold = logits.sort(-1).values[:, [-(1 + logits.shape[-1] // 3)]]
        return Cut(threshold.where(~whole, torch.tensor(-torch.inf)), torch.where(whole, 1.0, 0.5))


SUBSETS = [
    Full(),
    Fraction(drop=0),
    Fraction(drop=0.3),
    Fraction(drop=0.999),
    TopK(k=1),
    TopK(k=20),
    TopP(mass=0.9),
    Third(),
]
# of the largest value of the reference (or of 1, if that is smaller): values, gradients
TOLERANCES = {torch.float32: (1e-6, 1e-5), torch.bfloat16: (1e-6, 8e-3), torch.float16: (1e-6, 1e-3)}

every_subset = pytest.mark.parametrize("subset", SUBSETS, ids=lambda s: type(s).__name__)
every_dtype = pytest.mark.parametrize("dtype", TOLERANCES, ids=str)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Several chunks of several blocks, none of them full, in the small cases below."""
    torch.manual_seed(0)
    monkeypatch.setattr(native, "BLOCK", 300)
    monkeypatch.setattr(native, "CHUNK", 1000)
    monkeypatch.setattr(native, "CHUNK_ROWS", 5)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def logits_door(backend, logits, targets, up, subset, temperature=1.0, **options):
    """Return (logp, entropy, full_entropy, gradient) of Σ up_0 logp + up_1 entropy."""
    leaf = logits.clone().requires_grad_()
    stats = backend.token_stats(leaf.view_as(leaf), targets, subset, temperature, **options)
    (up[0] * stats.logp + up[1] * stats.entropy).sum().backward()
    return *(x.detach() for x in stats), leaf.grad


def linear_door(backend, hidden, weight, bias, targets, up, **options):
    """The same, with the gradients of hidden, weight and bias."""
    leaves = [None if x is None else x.clone().requires_grad_() for x in (hidden, weight, bias)]
    door = ops.Backend(backend.token_stats, backend.linear_token_stats, backend.linear_token_loss)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ops.BACKENDS, "tested", door)
        stats = ops.linear_token_stats(
            leaves[0], leaves[1], targets, bias=leaves[2], backend="tested", **options
        )
    (up[0] * stats.logp + up[1] * stats.entropy).sum().backward()
    return *(x.detach() for x in stats), *(x.grad for x in leaves if x is not None)


def assert_agree(given, expected, dtype):
    for i, (a, b) in enumerate(zip(given, expected, strict=True)):
        assert torch.isfinite(a).all()
        scale = max(1.0, b.double().abs().max().item())
        error = (a.double() - b.double()).abs().max().item() / scale
        assert error <= TOLERANCES[dtype][i >= 3], (i, error)


def precise(x):
    return None if x is None else x.double()


@every_subset
@every_dtype
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize(("rows", "vocab"), [(0, 5), (1, 1), (1, 2), (7, 301), (37, 53), (3, 9001)])
def test_logits_door_agrees(subset, dtype, temperature, rows, vocab):
    logits = 3 * torch.randn(rows, vocab).to(dtype)
    targets, up = torch.randint(0, vocab, (rows,)), torch.randn(2, rows)
    given = logits_door(NATIVE, logits, targets, up, subset, temperature)
    # divided in float32, as the backends do: what ties there is what counts
    exact = logits.float().div(temperature).double()
    expected = logits_door(reference, exact, targets, up.double(), subset)
    assert given[0].dtype == torch.float32
    assert given[3].dtype == dtype
    if rows:
        assert_agree(given, (*expected[:3], expected[3] / temperature), dtype)


@every_subset
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("bias", "softcap", "temperature"), [(False, None, 1.0), (True, None, 0.7), (True, 3.0, 1.3)]
)
def test_linear_door_agrees(subset, dtype, bias, softcap, temperature):
    rows, vocab, dim = 37, 53, 6
    hidden, weight = torch.randn(rows, dim, dtype=dtype), torch.randn(vocab, dim, dtype=dtype)
    offset = torch.randn(vocab, dtype=dtype) if bias else None
    args = hidden, weight, offset, torch.randint(0, vocab, (rows,)), torch.randn(2, rows)
    options = {"subset": subset, "temperature": temperature, "softcap": softcap}
    given, expected = linear_door(NATIVE, *args, **options), linear_door(reference, *args, **options)
    # both take products in float32, where a sum of another order may differ by 2e-7 of the logits
    assert_agree(given[:3], expected[:3], dtype)
    for a, b in zip(given[3:], expected[3:], strict=True):
        assert (a - b).abs().max() <= TOLERANCES[dtype][1] * b.abs().max().clamp(min=1)


def test_subset_of_ones_own_may_keep_some_rows_whole(monkeypatch):
    monkeypatch.setattr(native, "BLOCK", 53)  # one row at a time
    logits = torch.randn(37, 53)
    whole = logits[:, 0] > 1
    assert whole.any()
    stats = NATIVE.token_stats(logits, torch.zeros(37, dtype=torch.long), Third(), 1.0)
    torch.testing.assert_close(stats.entropy[whole], stats.full_entropy[whole])
    assert (stats.entropy[~whole] < stats.full_entropy[~whole]).all()


# ---- the exact cut


def sampled(vocab):
    """Which tokens of a row the sample looks at."""
    lines = min(kernels.SAMPLE, vocab // 128)
    first = torch.arange(lines) * (vocab - kernels.LINE) // (lines - 1) // kernels.LINE * kernels.LINE
    return (first[:, None] + torch.arange(kernels.LINE)).flatten()


def missing(vocab, at_sample, elsewhere):
    row = elsewhere + torch.rand(vocab)
    row[sampled(vocab)] = at_sample + torch.rand(len(sampled(vocab)))
    return row


def awkward(vocab):
    torch.manual_seed(0)
    normal = 3 * torch.randn(vocab)
    half = torch.full((vocab // 2,), -math.inf)
    return {
        "normal": normal,
        "whole numbers": normal.round(),
        "all equal": torch.full((vocab,), -7.25),
        "two values": (normal > 0).float(),
        "ascending": normal.sort().values,
        "descending": normal.sort(descending=True).values,
        "outlier first": torch.cat([torch.tensor([200.0]), normal[1:]]),
        "outlier last": torch.cat([normal[1:], torch.tensor([200.0])]),
        "large": 1e4 * normal,
        "far from zero": 1000 + normal,
        "tiny": 1e-30 * normal,
        "signed zeros": torch.where(normal > 1, normal, torch.copysign(torch.tensor(0.0), normal)),
        "half impossible": torch.cat([normal[len(half) :], half]),
        "all but one impossible": torch.cat([normal[:1], torch.full((vocab - 1,), -math.inf)]),
        "sample too low": missing(vocab, -5, 5),
        "sample too high": missing(vocab, 5, -5),
    }


ROWS = list(awkward(2))


def cuts(rows, subset):
    """Return the thresholds and the shares that forward saves."""
    targets, out = torch.zeros(len(rows), dtype=torch.long), torch.empty(len(rows), 8)
    native.arithmetic(rows, subset, Head(rows.dtype)).measure(rows, targets, out)
    stats = RowStats(*out.split(1, -1))
    return stats.threshold, stats.share


@pytest.mark.parametrize(
    "subset", [Fraction(drop=0.3), Fraction(drop=0.9), TopK(k=1), TopK(k=20), TopK(k=3000)]
)
@pytest.mark.parametrize("vocab", [21, 4095, 4096, 40_001])
def test_cut_is_exact_on_every_row(subset, vocab):
    rows = torch.stack([awkward(vocab)[name] for name in ROWS])
    threshold, share = cuts(rows, subset)
    expected = subset.cut(rows)
    if expected is None:
        expected = Cut(torch.full_like(threshold, -math.inf), torch.ones_like(share))
    assert torch.equal(threshold, expected.threshold)
    torch.testing.assert_close(share, expected.share, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["sample too low", "sample too high"])
def test_brackets_do_miss_in_the_rows_that_are_made_for_it(name):
    row = awkward(40_001)[name]
    room = kernels._Room(*(np.empty(40_001, dtype) for dtype in (np.float32, np.int32, np.float32)))
    low, high = kernels._bracket(row.numpy(), 28_001, room)
    assert not low <= row.sort(descending=True).values[28_000] <= high


@every_subset
@pytest.mark.parametrize("name", ROWS)
def test_awkward_rows_agree(subset, name):
    logits = awkward(5003)[name].expand(2, -1)
    targets, up = torch.tensor([0, 4000]), torch.tensor([[1.0, 0.5], [1.0, 0.0]])
    given = logits_door(NATIVE, logits, targets, up, subset)
    exact = logits_door(reference, logits.double(), targets, up.double(), subset)
    for a, b in zip(given[:3], exact[:3], strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-6, atol=1e-6)
    assert (given[3] - exact[3]).abs().max() <= 1e-5 * exact[3].abs().max().clamp(min=1e-3)
    impossible = (logits == -math.inf).scatter(1, targets[:, None], False)
    assert (given[3][impossible] == 0).all()


def test_golden_values_of_awkward_rows():
    targets, up = torch.zeros(1, dtype=torch.long), torch.tensor([[0.0], [1.0]])
    _, entropy, full, _ = logits_door(NATIVE, torch.zeros(1, 10), targets, up, Fraction(drop=0.3))
    assert entropy.item() == pytest.approx(math.log(7))  # 7 places of equal tokens
    assert full.item() == pytest.approx(math.log(10))
    impossible = torch.tensor([[0.0, 0.0, -math.inf, -math.inf]])
    _, entropy, _, grad = logits_door(NATIVE, impossible, targets, up, TopK(k=3))
    assert entropy.item() == pytest.approx(math.log(2))  # the third place holds no probability
    assert grad.tolist() == [[0, 0, 0, 0]]
    # odds 4 : 2 : 1 : 1, mass 0.8 of 8 is 6.4: one of the two places at 1; q = 4/7, 2/7, 1/7
    logits = torch.tensor([[4.0, 2.0, 1.0, 1.0]]).log()
    _, entropy, _, _ = logits_door(NATIVE, logits, targets, up, TopP(mass=0.8))
    assert entropy.item() == pytest.approx(math.log(7) - 10 / 7 * math.log(2))
    assert cuts(logits, TopP(mass=0.8))[1].item() == 0.5


@pytest.mark.parametrize("subset", [Full(), Fraction(drop=0.3), TopK(k=20), TopP(mass=0.99)])
def test_accuracy_in_float32(subset):
    logits = 3 * torch.randn(4, 50_021)
    targets, up = torch.randint(0, 50_021, (4,)), torch.randn(2, 4)
    given = logits_door(NATIVE, logits, targets, up, subset)
    exact = logits_door(reference, logits.double(), targets, up.double(), subset)
    for a, b in zip(given[:3], exact[:3], strict=True):
        assert (a.double() - b).abs().max() <= 2e-6
    assert (given[1].double() - exact[1]).abs().max() <= 1e-6
    assert (given[3].double() - exact[3]).abs().max() <= 1e-5 * exact[3].abs().max()


def test_exp():
    d = np.linspace(-87.6, 0, 100_001, dtype=np.float32)
    given = np.array([kernels._exp(x) for x in d], np.float64)
    assert np.abs(given / np.exp(d.astype(np.float64)) - 1).max() < 2e-7
    assert kernels._exp(kernels.FLOOR) == 0
    assert math.isnan(kernels._exp(np.float32(math.nan)))


@pytest.mark.parametrize("broken", [math.nan, math.inf])
@every_subset
def test_broken_rows_are_nan_and_no_others(subset, broken):
    logits = torch.randn(3, 5003)
    logits[1, 4097] = broken
    if broken == math.inf:
        logits[1] = -math.inf  # nothing possible at all
    *values, grad = logits_door(NATIVE, logits, torch.tensor([0, 1, 2]), torch.ones(2, 3), subset)
    for x in (*values, grad[:, 0]):
        assert x.isnan().tolist() == [False, True, False]


# ---- properties

small_rows = st.lists(st.integers(-3, 3), min_size=2, max_size=16)
subsets = st.sampled_from([Full(), Fraction(drop=0.3), TopK(k=3), TopP(mass=0.8)])


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=16), drop=st.floats(0, 0.999))
def test_entropy_lies_between_zero_and_log_kept(values, drop):
    kept = len(values) - int(drop * len(values))
    stats = NATIVE.token_stats(torch.tensor([values]), torch.tensor([0]), Fraction(drop=drop), 1.0)
    assert 0 <= stats.entropy.item() <= math.log(kept) + 1e-6
    assert stats.logp.item() <= 0


@settings(deadline=None, max_examples=50)
@given(values=small_rows, subset=subsets, data=st.data())
def test_order_of_tokens_does_not_matter(values, subset, data):
    order = torch.tensor(data.draw(st.permutations(range(len(values)))))
    logits, up = torch.tensor([values], dtype=torch.float32), torch.ones(2, 1)
    plain = logits_door(NATIVE, logits, order[:1], up, subset)
    moved = logits_door(NATIVE, logits[:, order], torch.tensor([0]), up, subset)
    torch.testing.assert_close(moved[:3], plain[:3], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(moved[3], plain[3][:, order], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("subset", [Fraction(drop=0.3), TopK(k=20)])
def test_order_of_tokens_does_not_move_the_cut(subset):
    rows = torch.stack([awkward(9001)[name] for name in ROWS])
    plain, moved = cuts(rows, subset), cuts(rows[:, torch.randperm(9001)], subset)
    assert torch.equal(plain[0], moved[0])
    assert torch.equal(plain[1], moved[1])


@every_subset
@every_dtype
def test_bitwise_the_same_again_and_on_any_number_of_threads(subset, dtype, threads):
    logits = torch.stack([awkward(9001)[name] for name in ROWS if name != "large"]).to(dtype)
    targets, up = torch.randint(0, 9001, (len(logits),)), torch.randn(2, len(logits))
    results = []
    for count in (1, 1, 3):
        threads(count)
        results.append(logits_door(NATIVE, logits, targets, up, subset))
    for again in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], again, strict=True))


# ---- promises


def test_float64_is_left_to_chunked():
    logits = torch.randn(9, 53, dtype=torch.float64)
    args = logits, torch.randint(0, 53, (9,)), torch.randn(2, 9), TopK(k=5), 0.7
    given, expected = logits_door(NATIVE, *args), logits_door(CHUNKED, *args)
    assert all(torch.equal(a, b) for a, b in zip(given, expected, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_logits_need_not_be_contiguous(dtype):
    logits = torch.randn(53, 37).to(dtype)
    targets, up = torch.randint(0, 53, (37,)), torch.randn(2, 37)
    leaf = logits.clone().requires_grad_()
    stats = NATIVE.token_stats(leaf.t(), targets, TopK(k=9), 1.0)
    (up[0] * stats.logp + up[1] * stats.entropy).sum().backward()
    expected = logits_door(NATIVE, logits.t().contiguous(), targets, up, TopK(k=9))
    torch.testing.assert_close(tuple(stats), expected[:3])
    torch.testing.assert_close(leaf.grad, expected[3].t())


def test_rows_without_gradient_get_zero():
    up = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    logits, targets = torch.randn(3, 53), torch.tensor([0, 1, 2])
    grad = logits_door(NATIVE, logits, targets, up, TopK(k=9))[3]
    expected = logits_door(reference, logits, targets, up, TopK(k=9))[3]
    torch.testing.assert_close(grad, expected)
    assert (grad[1] == 0).all()


class Two(TopK):
    """A subclass that cuts in its own way."""

    def cut(self, logits):
        return TopK(k=2).cut(logits)


def test_what_a_subclass_says_counts():
    args = torch.randn(9, 53), torch.zeros(9, dtype=torch.long), torch.ones(2, 9)
    given, expected = (logits_door(NATIVE, *args, subset) for subset in (Two(k=20), TopK(k=2)))
    torch.testing.assert_close(given, expected)


def test_refuses_other_devices():
    logits, targets = torch.zeros(2, 3, device="meta"), torch.zeros(2, dtype=torch.long, device="meta")
    with pytest.raises(InputError, match=r"backend 'native' computes on the CPU; .* on 'meta'"):
        NATIVE.token_stats(logits, targets, Full(), 1.0)


def test_without_numba_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "aent.ops.backends.native_kernels")
    monkeypatch.delattr(backends, "native_kernels")
    with pytest.raises(InputError, match=r"needs numba, .* pip install numba"):
        NATIVE.token_stats(torch.zeros(2, 3), torch.tensor([0, 0]), Full(), 1.0)


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (False, False, True)])
def test_only_wanted_gradients_are_made(wanted):
    args = torch.randn(9, 4), torch.randn(5, 4), torch.randn(5)
    targets, up = torch.randint(0, 5, (9,)), torch.randn(2, 9)
    everything = linear_door(NATIVE, *args, targets, up, subset=TopK(k=3))[3:]
    leaves = [x.clone().requires_grad_(w) for x, w in zip(args, wanted, strict=True)]
    stats = NATIVE.linear_token_stats(*leaves, targets, TopK(k=3), 1.0, None, nullcontext)
    (up[0] * stats.logp + up[1] * stats.entropy).sum().backward()
    for leaf, want, expected in zip(leaves, wanted, everything, strict=True):
        assert (leaf.grad is None) is not want
        if want:
            torch.testing.assert_close(leaf.grad, expected)


def test_gather_surrounds_every_use_of_the_weight():
    whole = torch.randn(53, 6)
    weight = torch.nn.Parameter(torch.empty(0))
    hidden = torch.randn(37, 6, requires_grad=True)
    targets, up = torch.randint(0, 53, (37,)), torch.randn(2, 37)

    @contextmanager
    def gather():
        """As a sharded head: whole inside, empty outside."""
        weight.data = whole.clone()
        yield
        weight.data = torch.empty(0)

    with gather():
        stats = NATIVE.linear_token_stats(hidden, weight, None, targets, TopK(k=9), 1.0, None, gather)
    assert weight.numel() == 0
    total = (up[0] * stats.logp + up[1] * stats.entropy).sum()
    grads = torch.autograd.grad(total, [hidden, weight])
    expected = linear_door(NATIVE, hidden.detach(), whole, None, targets, up, subset=TopK(k=9))
    torch.testing.assert_close(stats.entropy, expected[1])
    torch.testing.assert_close(grads, expected[3:])


@pytest.mark.parametrize("default", [torch.float64, torch.bfloat16], ids=str)
def test_the_default_dtype_of_a_script_changes_nothing(default):
    """The rows that need conversion pass through a buffer, which the kernels read as float32."""
    logits, targets = torch.randn(3, 200).bfloat16(), torch.arange(3)
    usual = ops.token_stats(logits, targets, subset=TopK(k=20), backend="native")
    torch.set_default_dtype(default)
    try:
        changed = ops.token_stats(logits, targets, subset=TopK(k=20), backend="native")
    finally:
        torch.set_default_dtype(torch.float32)
    for x, y in zip(changed, usual, strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=0)


def test_autocast_takes_products_in_its_dtype_and_statistics_in_float32():
    hidden, weight = torch.randn(37, 6), torch.randn(53, 6)
    targets, up = torch.randint(0, 53, (37,)), torch.randn(2, 37)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        given = linear_door(NATIVE, hidden, weight, None, targets, up, subset=TopK(k=9))
    assert all(x.dtype == torch.float32 for x in given)
    rounded = linear_door(NATIVE, hidden.bfloat16(), weight.bfloat16(), None, targets, up, subset=TopK(k=9))
    assert_agree(given[:3], rounded[:3], torch.float32)
    assert_agree(given, [x.float() for x in rounded], torch.bfloat16)


def test_without_a_place_for_a_cache_it_compiles_and_says_how_to_set_one():
    """numba raises where neither the package's folder nor the user's can be written."""
    code = (
        "import torch, aent\n"
        "stats = aent.token_stats(torch.zeros(1, 8), torch.tensor([3]), backend='native')\n"
        "print(round(stats.entropy.item(), 4))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "NUMBA_CACHE_LOCATOR_CLASSES": "ZipCacheLocator"},  # none of ours is in a zip file
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "2.0794\n"  # log 8
    assert done.stderr.count("Set NUMBA_CACHE_DIR to a folder that can be written") == 1
