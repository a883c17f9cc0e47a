"""What the doors promise around any arithmetic: memory, gradients, autocast, sharded weights."""

import math
from contextlib import contextmanager
from functools import partial

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

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
every_subset = pytest.mark.parametrize("subset", SUBSETS, ids=str)


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


@pytest.mark.parametrize("backend", ["chunked", "native"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_overwriting_takes_the_memory_of_the_logits(backend, dtype, temperature):
    pytest.importorskip("numba")
    leaf = torch.randn(9, 53).to(dtype).requires_grad_()
    targets, seen = torch.randint(0, 53, (9,)), []
    options = {"subset": TopK(k=9), "temperature": temperature, "backend": backend}
    kept = (leaf * 2).detach().requires_grad_()
    plain = token_stats(kept, targets, **options)
    (plain.logp + plain.entropy).sum().backward()
    logits = leaf * 2
    logits.register_hook(lambda grad: seen.append(grad.data_ptr()))
    stats = token_stats(logits, targets, **options, overwrite=True)
    (stats.logp + stats.entropy).sum().backward(retain_graph=True)
    assert seen == [logits.data_ptr()]
    assert torch.equal(leaf.grad, 2 * kept.grad)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        stats.entropy.sum().backward()


def test_what_an_operation_saved_is_not_overwritten_unseen():
    leaf = torch.randn(3, 5, requires_grad=True)
    logits = leaf.exp()  # whose backward reads its result
    stats = token_stats(logits, torch.zeros(3, dtype=torch.long), overwrite=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        stats.entropy.sum().backward()
