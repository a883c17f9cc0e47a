"""The chunked backend against the reference, and what it promises about memory."""

import math
from contextlib import contextmanager
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from aent import ops
from aent.ops import head
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


# ---- properties

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


# ---- promises


def test_results_do_not_depend_on_what_fresh_memory_holds(monkeypatch):
    empty, new_empty, empty_like = torch.empty, torch.Tensor.new_empty, torch.empty_like

    def dirty(make):
        def made(*args, **kwargs):
            out = make(*args, **kwargs)
            return out.fill_(math.nan) if out.is_floating_point() else out

        return made

    monkeypatch.setattr(torch, "empty", dirty(empty))
    monkeypatch.setattr(torch, "empty_like", dirty(empty_like))
    monkeypatch.setattr(torch.Tensor, "new_empty", dirty(new_empty))
    up = torch.ones(2, 37)
    targets = torch.randint(0, 53, (37,))
    for subset in SUBSETS:
        for x in logits_door(torch.randn(37, 53), targets, up, subset=subset):
            assert torch.isfinite(x).all()
        args = torch.randn(37, 6), torch.randn(53, 6), torch.randn(53)
        for x in linear_door(*args, targets, up, subset=subset, softcap=5.0, temperature=0.7):
            assert torch.isfinite(x).all()


class _Largest(TorchDispatchMode):
    """The largest storage that any operation returns, in elements."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in torch.utils._pytree.tree_leaves(out):
            if isinstance(x, torch.Tensor):
                self.elements = max(self.elements, x.untyped_storage().nbytes() // x.element_size())
        return out


@every_subset
def test_linear_door_never_holds_all_logits(subset):
    rows, vocab, dim = 200, 50, 4
    hidden = torch.randn(rows, dim, requires_grad=True)
    weight = torch.randn(vocab, dim, requires_grad=True)
    with _Largest() as largest:
        stats = linear_token_stats(hidden, weight, torch.zeros(rows, dtype=torch.long), subset=subset)
        (stats.logp + stats.entropy).sum().backward()
    assert 0 < largest.elements <= 20 * vocab + rows * 8  # CHUNK / vocab rows; N x V is 10,000


def test_little_is_saved_for_backward():
    rows, vocab, dim = 200, 50, 4
    hidden = torch.randn(rows, dim, requires_grad=True)
    weight = torch.randn(vocab, dim, requires_grad=True)
    logits = torch.randn(rows, vocab, requires_grad=True)
    targets = torch.zeros(rows, dtype=torch.long)
    saved = []

    def keep(x):
        if x.data_ptr() not in {y.data_ptr() for y in (hidden, weight, logits, targets)}:
            saved.append(x.numel())
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        linear_token_stats(hidden, weight, targets, subset=TopK(k=3))
        assert sum(saved) <= 8 * rows
        saved.clear()
        token_stats(logits, targets, subset=TopK(k=3))
        assert sum(saved) <= 8 * rows


def test_no_rows():
    hidden = torch.randn(0, 4, requires_grad=True)
    weight, bias = torch.randn(5, 4, requires_grad=True), torch.randn(5, requires_grad=True)
    targets = torch.zeros(0, dtype=torch.long)
    stats = linear_token_stats(hidden, weight, targets, bias=bias, subset=TopK(k=2))
    (stats.logp + stats.entropy).sum().backward()
    assert stats.entropy.shape == (0,)
    assert hidden.grad is not None
    assert hidden.grad.shape == (0, 4)
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.zeros(5, 4))
    assert bias.grad is not None
    assert torch.equal(bias.grad, torch.zeros(5))
    logits = torch.randn(2, 0, 5, requires_grad=True)
    token_stats(logits, targets.expand(2, 0)).entropy.sum().backward()
    assert logits.grad is not None


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (False, False, True)])
def test_only_wanted_gradients_are_made(wanted):
    args = torch.randn(9, 4), torch.randn(5, 4), torch.randn(5)
    targets, up = torch.randint(0, 5, (9,)), torch.randn(2, 9)
    everything = linear_door(*args, targets, up, subset=TopK(k=3))[3:]
    leaves = [x.clone().requires_grad_(w) for x, w in zip(args, wanted, strict=True)]
    stats = linear_token_stats(leaves[0], leaves[1], targets, bias=leaves[2], subset=TopK(k=3))
    (up[0] * stats.logp + up[1] * stats.entropy).sum().backward()
    for leaf, want, expected in zip(leaves, wanted, everything, strict=True):
        assert (leaf.grad is None) is not want
        if want:
            torch.testing.assert_close(leaf.grad, expected)


def test_one_output_alone_can_be_used():
    logits, targets = torch.randn(9, 5, dtype=torch.float64), torch.randint(0, 5, (9,))
    for name in ("logp", "entropy"):
        grads = []
        for backend in ("chunked", "reference"):
            z = logits.clone().requires_grad_()
            stats = token_stats(z, targets, subset=TopK(k=3), backend=backend)
            getattr(stats, name).sum().backward()
            grads.append(z.grad)
        torch.testing.assert_close(*grads)


def test_differentiable_once():
    logits = torch.randn(3, 5, requires_grad=True)
    stats = token_stats(logits, torch.zeros(3, dtype=torch.long))
    (grad,) = torch.autograd.grad(stats.entropy.square().sum(), logits, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_inside_activation_checkpointing_with_a_tied_weight():
    embedding = torch.randn(53, 6, requires_grad=True)
    targets = torch.randint(0, 53, (37,))

    def loss():
        head = embedding.view(53, 6)  # a view of the input embedding
        stats = linear_token_stats(embedding[targets].sin(), head, targets, subset=Fraction(drop=0.3))
        return (stats.logp + stats.entropy).sum()

    (plain,) = torch.autograd.grad(loss(), embedding)
    (recomputed,) = torch.autograd.grad(checkpoint(loss, use_reentrant=False), embedding)
    assert torch.equal(plain, recomputed)


@pytest.mark.parametrize("emulated", [True, False])
def test_autocast_takes_products_in_its_dtype_and_statistics_in_float32(monkeypatch, emulated):
    monkeypatch.setattr(head, "_emulated", lambda *_: emulated)  # as on CPUs without and with bfloat16
    hidden, weight = torch.randn(37, 6), torch.randn(53, 6)
    targets, up = torch.randint(0, 53, (37,)), torch.randn(2, 37)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        given = linear_door(hidden, weight, None, targets, up, subset=TopK(k=9))
    assert all(x.dtype == torch.float32 for x in given)
    rounded = linear_door(hidden.bfloat16(), weight.bfloat16(), None, targets, up, subset=TopK(k=9))
    assert_agree(given[:3], rounded[:3], torch.float32)
    assert_agree(given, [x.float() for x in rounded], torch.bfloat16)


def test_backward_may_run_outside_autocast():
    hidden = torch.randn(37, 6, requires_grad=True)
    weight = torch.randn(53, 6, requires_grad=True)
    targets = torch.randint(0, 53, (37,))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        stats = linear_token_stats(hidden, weight, targets)
        inside = torch.autograd.grad(stats.entropy.sum(), [hidden, weight], retain_graph=True)
    outside = torch.autograd.grad(stats.entropy.sum(), [hidden, weight])
    assert all(torch.equal(a, b) for a, b in zip(inside, outside, strict=True))


def test_gather_surrounds_every_use_of_the_weight():
    whole = torch.randn(53, 6)
    weight = torch.nn.Parameter(torch.empty(0))
    hidden = torch.randn(37, 6, requires_grad=True)
    targets, up = torch.randint(0, 53, (37,)), torch.randn(2, 37)
    entered = []

    @contextmanager
    def gather():
        """As a sharded head: whole inside, empty outside."""
        entered.append(True)
        weight.data = whole.clone()
        yield
        weight.data = torch.empty(0)

    stats = linear_token_stats(hidden, weight, targets, subset=TopK(k=9), gather=gather)
    assert weight.numel() == 0
    total = (up[0] * stats.logp + up[1] * stats.entropy).sum()
    grads = torch.autograd.grad(total, [hidden, weight])
    assert len(entered) == 2
    expected = linear_door(hidden.detach(), whole, None, targets, up, subset=TopK(k=9))
    torch.testing.assert_close(stats.entropy, expected[1])
    torch.testing.assert_close(grads, expected[3:])


def test_logits_need_not_be_contiguous():
    logits = torch.randn(53, 37, dtype=torch.float64)
    targets, up = torch.randint(0, 53, (37,)), torch.randn(2, 37).double()
    given = logits_door(logits.t(), targets, up, subset=TopK(k=9))
    expected = logits_door(logits.t().contiguous(), targets, up, subset=TopK(k=9))
    torch.testing.assert_close(given, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_where_a_cpu_emulates_16_bits_products_are_taken_in_float32(dtype, monkeypatch):
    args = torch.randn(37, 6).to(dtype), torch.randn(53, 6).to(dtype), None
    args = *args, torch.randint(0, 53, (37,)), torch.randn(2, 37)
    results, seen = [], []
    linear = torch.nn.functional.linear
    monkeypatch.setattr(torch.nn.functional, "linear", lambda *x: seen.append(x[0].dtype) or linear(*x))
    for supported in (True, False):
        for name in ("_is_avx512_bf16_supported", "_is_amx_fp16_supported"):
            monkeypatch.setattr(torch.cpu, name, lambda answer=supported: answer)
        results.append(linear_door(*args, subset=TopK(k=9)))
    assert set(seen) == {torch.float32}  # and none where it is not emulated: that takes torch.mm
    assert_agree(results[1], [x.float() for x in results[0]], torch.bfloat16)
