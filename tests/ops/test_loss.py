"""`linear_token_loss` against the same loss written with `linear_token_stats`, and what it refuses."""

import math
from contextlib import contextmanager

import pytest
import torch

from aent import Fraction, Full, InputError, TopK, TopP, linear_token_loss, linear_token_stats
from aent.ops import autograd
from aent.ops.backends import chunked, native

BACKENDS = ["chunked", "native", "reference"]
ROWS, VOCAB, DIM = 37, 53, 6
every_backend = pytest.mark.parametrize("backend", BACKENDS)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Several chunks of several blocks, none of them full."""
    torch.manual_seed(0)
    for module in (chunked, native):
        monkeypatch.setattr(module, "BLOCK", 300)
        monkeypatch.setattr(module, "CHUNK", 500)
        monkeypatch.setattr(module, "CHUNK_ROWS", 5)


def inputs(dtype=torch.float32):
    leaves = [torch.randn(*s, dtype=dtype).requires_grad_() for s in ((ROWS, DIM), (VOCAB, DIM), (VOCAB,))]
    return leaves, torch.randint(0, VOCAB, (ROWS,)), [torch.randn(ROWS) for _ in range(2)]


def clipped(logp, entropy, old, advantage):
    """A loss as trainers have: a clipped ratio, and an entropy bonus."""
    ratio = (logp - logp.detach() + old).exp()
    objective = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
    return -(objective + 0.1 * entropy) / ROWS


@every_backend
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("subset", [Full(), Fraction(drop=0.3), TopK(k=5), TopP(mass=0.8)], ids=str)
def test_agrees_with_the_loss_of_the_statistics(backend, dtype, subset):
    pytest.importorskip("numba")
    (hidden, weight, bias), targets, columns = inputs(dtype)
    options = {"bias": bias, "subset": subset, "temperature": 0.7, "softcap": 5.0}
    made = linear_token_loss(hidden, weight, targets, clipped, columns=columns, backend=backend, **options)
    stats = linear_token_stats(hidden, weight, targets, backend="reference", **options)
    expected = clipped(stats.logp, stats.entropy, *columns).sum()
    exact = dtype == torch.float64
    torch.testing.assert_close(made.loss, expected, **({} if exact else {"rtol": 1e-5, "atol": 1e-6}))
    torch.testing.assert_close(made.stats.entropy, stats.entropy, rtol=1e-5, atol=1e-6)
    assert not any(x.requires_grad for x in made.stats)
    # multiplied on the way back, as by gradient accumulation
    grads = torch.autograd.grad(made.loss / 3, (hidden, weight, bias))
    reference = torch.autograd.grad(expected / 3, (hidden, weight, bias))
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1.6e-2}[dtype]
    for a, b in zip(grads, reference, strict=True):
        assert a.dtype == dtype
        assert (a - b).abs().max() <= tolerance * b.abs().max()


@every_backend
def test_value_and_gradient_by_hand(backend):
    pytest.importorskip("numba")
    # one row: hidden 1, weights log 3 and 0, so p = 3/4, 1/4; d logp / d weight = [1, 0] - p
    weight = torch.tensor([[math.log(3)], [0.0]], requires_grad=True)
    args = torch.ones(1, 1), weight, torch.tensor([0]), lambda logp, _: -2 * logp
    made = linear_token_loss(*args, backend=backend)
    assert made.loss.item() == pytest.approx(2 * math.log(4 / 3))
    assert made.stats.entropy.item() == pytest.approx(math.log(4) - 3 / 4 * math.log(3), rel=1e-6)
    made.loss.backward()
    assert weight.grad is not None
    assert weight.grad[:, 0].tolist() == pytest.approx([-1 / 2, 1 / 2])


def test_shapes_of_batches_and_of_what_the_loss_sees():
    seen = []

    def loss(logp, entropy, mask):
        seen.append(logp.shape)
        assert logp.shape == entropy.shape == mask.shape
        return mask * logp

    targets, mask = torch.randint(0, VOCAB, (2, 9)), torch.ones(2, 9)
    made = linear_token_loss(
        torch.randn(2, 9, DIM), torch.randn(VOCAB, DIM), targets, loss, columns=[mask], backend="chunked"
    )
    assert made.stats.logp.shape == (2, 9)
    assert seen == [(9,), (9,)]  # CHUNK // VOCAB rows at a time


def test_products_are_three_not_four(monkeypatch):
    """The logits are made once; recomputing makes them twice."""
    made = []
    plain = autograd.Head.logits_
    monkeypatch.setattr(autograd.Head, "logits_", lambda *args: made.append(len(args[2])) or plain(*args))
    (hidden, weight, _), targets, columns = inputs()
    linear_token_loss(hidden, weight, targets, clipped, columns=columns, backend="chunked").loss.backward()
    assert sum(made) == ROWS
    made.clear()
    linear_token_stats(hidden, weight, targets, backend="chunked").logp.sum().backward()
    assert sum(made) == 2 * ROWS


@pytest.mark.parametrize("backend", ["chunked", "native"])
def test_no_gradient_is_made_where_none_is_wanted(backend, monkeypatch):
    pytest.importorskip("numba")
    (hidden, weight, _), targets, columns = inputs()
    with torch.no_grad():
        assert not linear_token_loss(
            hidden, weight, targets, clipped, columns=columns, backend=backend
        ).loss.requires_grad
    frozen = linear_token_loss(hidden, weight.detach(), targets, clipped, columns=columns, backend=backend)
    (grad,) = torch.autograd.grad(frozen.loss, hidden)
    both = linear_token_loss(hidden, weight, targets, clipped, columns=columns, backend=backend)
    assert torch.equal(grad, torch.autograd.grad(both.loss, (hidden, weight))[0])


def test_is_differentiated_once():
    (hidden, weight, _), targets, columns = inputs()
    made = linear_token_loss(hidden, weight, targets, clipped, columns=columns, backend="chunked")
    made.loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match=r"differentiated twice, .* use linear_token_stats"):
        made.loss.backward()


def test_a_sharded_weight_is_gathered_once():
    whole = torch.randn(VOCAB, DIM)
    weight, entered = torch.nn.Parameter(torch.empty(0)), []

    @contextmanager
    def gather():
        entered.append(True)
        weight.data = whole.clone()
        yield
        weight.data = torch.empty(0)

    (hidden, _, _), targets, columns = inputs()
    made = linear_token_loss(
        hidden, weight, targets, clipped, columns=columns, gather=gather, backend="chunked"
    )
    assert weight.numel() == 0
    grads = torch.autograd.grad(made.loss, (hidden, weight))
    assert len(entered) == 1
    leaf = whole.clone().requires_grad_()
    plain = linear_token_loss(hidden, leaf, targets, clipped, columns=columns, backend="chunked")
    assert all(
        torch.equal(a, b) for a, b in zip(grads, torch.autograd.grad(plain.loss, (hidden, leaf)), strict=True)
    )


def test_no_rows():
    weight = torch.randn(5, 4, requires_grad=True)
    hidden, targets = torch.randn(0, 4, requires_grad=True), torch.zeros(0, dtype=torch.long)
    made = linear_token_loss(hidden, weight, targets, lambda logp, entropy: logp + entropy)
    made.loss.backward()
    assert made.loss.item() == 0
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.zeros(5, 4))


@every_backend
@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        (lambda p, h: p.sum(), {}, r"`loss` returned shape \(\) for \d+ rows; it must return one loss per"),
        (lambda p, h: 0.0, {}, r"`loss` returned float for \d+ rows"),
        (lambda p, h: p.detach(), {}, r"carries no gradient; compute it from the log-probabilities"),
        (lambda p, h, c: p, {"columns": [torch.ones(ROWS, 1)]}, r"`columns\[0\]` has shape \(37, 1\)"),
        (
            lambda p, h, c: p,
            {"columns": [torch.ones(ROWS, requires_grad=True)]},
            r"`columns\[0\]` requires a gradient, but columns are constants",
        ),
        (lambda p, h: p, {"softcap": -1.0}, r"`softcap` is -1.0"),
        (lambda p, h: p, {"temperature": 0.0}, r"`temperature` is 0.0"),
    ],
)
def test_refuses(backend, loss, options, message):
    pytest.importorskip("numba")
    (hidden, weight, _), targets, _ = inputs()
    with pytest.raises(InputError, match=message):
        linear_token_loss(hidden, weight, targets, loss, backend=backend, **options)


def test_refuses_an_unknown_backend():
    (hidden, weight, _), targets, _ = inputs()
    with pytest.raises(InputError, match="unknown backend 'x'"):
        linear_token_loss(hidden, weight, targets, lambda p, h: p, backend="x")
