"""The doors: golden values for every backend, and what they refuse."""

import math
from types import SimpleNamespace

import pytest
import torch

from aent import ops
from aent.errors import InputError
from aent.ops import linear_token_stats, token_stats
from aent.subsets import Fraction, Full, TopK, TopP

LOG2 = math.log(2)
# p = 1/2, 1/4, 1/8, 1/8
LOGITS = torch.tensor([[4.0, 2.0, 1.0, 1.0]], dtype=torch.float64).log()

# triton wants a GPU or the interpreter, and native is checked on all this in its own file, with float32
every_backend = pytest.mark.parametrize("backend", ["auto", "chunked", "reference"])  # auto: mostly native


@every_backend
@pytest.mark.parametrize(
    ("subset", "entropy"),
    [
        # 1/2 log 2 + 1/4 log 4 + 2/8 log 8 = (1/2 + 1/2 + 3/4) log 2
        (Full(), 1.75 * LOG2),
        # q = 4/7, 2/7 and one place at 1/7: log 7 - (4 log 4 + 2 log 2) / 7
        (Fraction(drop=0.25), math.log(7) - 10 / 7 * LOG2),
        (TopP(mass=0.8), math.log(7) - 10 / 7 * LOG2),
        # q = 2/3, 1/3: log 3 - 2/3 log 2
        (Fraction(drop=0.5), math.log(3) - 2 / 3 * LOG2),
        (TopK(k=2), math.log(3) - 2 / 3 * LOG2),
        (TopK(k=1), 0.0),
    ],
)
def test_values_by_hand(backend, subset, entropy):
    stats = token_stats(LOGITS, torch.tensor([1]), subset=subset, backend=backend)
    assert stats.logp.item() == pytest.approx(-2 * LOG2)
    assert stats.entropy.item() == pytest.approx(entropy, abs=1e-12)
    assert stats.full_entropy.item() == pytest.approx(1.75 * LOG2)


@every_backend
def test_gradients_by_hand(backend):
    logits = LOGITS.clone().requires_grad_()
    stats = token_stats(logits, torch.tensor([1]), subset=Fraction(drop=0.25), backend=backend)
    (entropy,) = torch.autograd.grad(stats.entropy.sum(), logits, retain_graph=True)
    # -w q (log q + H): log q + H = (2, 1, 0, 0) log 2 - 10/7 log 2, w q = 4/7, 2/7, 1/14, 1/14
    assert entropy[0].tolist() == pytest.approx([-16 / 49 * LOG2, 6 / 49 * LOG2, *[5 / 49 * LOG2] * 2])
    (logp,) = torch.autograd.grad(stats.logp.sum(), logits)
    assert logp[0].tolist() == pytest.approx([-1 / 2, 3 / 4, -1 / 8, -1 / 8])


@every_backend
def test_temperature_by_hand(backend):
    # at temperature 1/2 the odds 4 : 2 : 1 : 1 become 16 : 4 : 1 : 1
    stats = token_stats(LOGITS, torch.tensor([0]), subset=TopK(k=2), temperature=0.5, backend=backend)
    assert stats.logp.item() == pytest.approx(math.log(16 / 22))
    assert stats.entropy.item() == pytest.approx(math.log(5) - 0.8 * math.log(4))


@every_backend
def test_linear_door_by_hand(backend):
    # hidden 1, weights log 4, log 2, 0, 0, bias makes the odds 4 : 4 : 1 : 1
    weight = torch.tensor([4.0, 2.0, 1.0, 1.0]).log()[:, None]
    bias = torch.tensor([0.0, LOG2, 0.0, 0.0])
    stats = linear_token_stats(
        torch.ones(1, 1),
        weight,
        torch.tensor([2]),
        bias=bias,
        subset=TopK(k=2),
        backend=backend,
    )
    assert stats.logp.item() == pytest.approx(math.log(1 / 10))
    assert stats.entropy.item() == pytest.approx(LOG2)
    assert stats.full_entropy.item() == pytest.approx(math.log(10) - 0.8 * math.log(4), rel=1e-6)


@every_backend
def test_softcap_comes_before_temperature(backend):
    # 2 tanh(2 / 2) and 2 tanh(-2 / 2), divided by 4: the odds are exp(tanh 1)
    stats = linear_token_stats(
        torch.ones(1, 1),
        torch.tensor([[2.0], [-2.0]]),
        torch.tensor([0]),
        softcap=2.0,
        temperature=4.0,
        backend=backend,
    )
    assert stats.logp.item() == pytest.approx(-math.log1p(math.exp(-math.tanh(1.0))))


@every_backend
def test_batch_shapes(backend):
    logits, targets = torch.randn(2, 3, 5), torch.randint(0, 5, (2, 3))
    stats = token_stats(logits, targets, backend=backend)
    one = token_stats(logits[1, 2], targets[1, 2], backend=backend)
    assert stats.logp.shape == (2, 3)
    for whole, single in zip(stats, one, strict=True):
        assert single.shape == ()
        assert single.item() == pytest.approx(whole[1, 2].item())


@every_backend
@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_dtypes(backend, dtype, expected):
    logits = torch.randn(3, 5, dtype=dtype, requires_grad=True)
    stats = token_stats(logits, torch.zeros(3, dtype=torch.int32), backend=backend)
    assert {x.dtype for x in stats} == {expected}
    stats.entropy.sum().backward()
    assert logits.grad is not None
    assert logits.grad.dtype == dtype


@every_backend
@pytest.mark.parametrize("subset", [Full(), TopK(k=2)])
def test_full_entropy_never_carries_gradient(backend, subset):
    logits = torch.randn(3, 5, requires_grad=True)
    targets = torch.zeros(3, dtype=torch.long)
    weight = torch.randn(4, 5, requires_grad=True)
    for stats in (
        token_stats(logits, targets, subset=subset, backend=backend),
        linear_token_stats(logits, weight, targets, subset=subset, backend=backend),
    ):
        assert not stats.full_entropy.requires_grad
        assert stats.entropy.requires_grad
        assert stats.logp.requires_grad


def test_full_subset_makes_both_entropies_equal():
    stats = token_stats(torch.randn(3, 5), torch.zeros(3, dtype=torch.long))
    assert torch.equal(stats.entropy, stats.full_entropy)


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


@pytest.mark.parametrize(
    ("device", "numba", "expected"),
    [
        ("cpu", True, "native"),
        ("cpu", False, "chunked"),
        ("cuda", True, "chunked"),  # triton has not run on a GPU yet
        ("mps", True, "chunked"),
    ],
)
def test_auto_goes_by_the_device_and_what_is_installed(device, numba, expected, monkeypatch):
    monkeypatch.setattr(ops, "_has_numba", lambda: numba)
    assert ops._auto(SimpleNamespace(device=torch.device(device))) == expected


Z, T = torch.zeros(2, 3), torch.zeros(2, dtype=torch.long)


@pytest.mark.parametrize(
    ("logits", "targets", "options", "message"),
    [
        (Z, torch.zeros(3, dtype=torch.long), {}, r"`targets` has shape \(3,\), `logits` \(2, 3\)"),
        (Z.long(), T, {}, r"`logits` is torch.int64; it must be a floating point"),
        (Z, T.float(), {}, r"`targets` is torch.float32; it must hold token ids"),
        (Z, torch.tensor([0, 3]), {}, r"from 0 to 3; token ids must lie in \[0, 3\)"),
        (Z, torch.tensor([-100, 1]), {}, r"from -100 to 1; .* mask the results"),
        (Z[:, :0], T, {}, r"its last dimension is empty"),
        (Z, T, {"temperature": 0.0}, r"`temperature` is 0.0; it must be finite and above 0"),
        (Z, T, {"temperature": -1.0}, r"`temperature` is -1.0"),
        (Z, T, {"temperature": math.nan}, r"`temperature` is nan"),
        (Z.clone().requires_grad_(), T, {"overwrite": True}, r"these are a leaf. Leave it off"),
        (Z[:1].expand(2, 3), T, {"overwrite": True}, r"these are expanded. Leave it off"),
        (Z, T, {"overwrite": True, "backend": "reference"}, r"not for backend='reference'"),
        (Z, T, {"backend": "triton"}, r"the backend 'triton' works on CUDA tensors"),
        (Z, T, {"backend": "chunks"}, r"unknown backend 'chunks'. Did you mean 'chunked'\?"),
    ],
)
def test_token_stats_refuses(logits, targets, options, message):
    with pytest.raises(InputError, match=message):
        token_stats(logits, targets, **options)


H, W = torch.zeros(2, 4), torch.zeros(3, 4)


@pytest.mark.parametrize(
    ("hidden", "weight", "targets", "options", "message"),
    [
        (H, W[:, :2], T, {}, r"`weight` must be \[vocab, dim\]"),
        (H, W[0], T, {}, r"`weight` must be \[vocab, dim\]"),
        (H, W.double(), T, {}, r"are \['torch.float32', 'torch.float64'\]"),
        (H.long(), W, T, {}, r"`hidden` is torch.int64"),
        (H, W, T[:1], {}, r"`targets` has shape \(1,\), `hidden` \(2, 4\)"),
        (H, W, torch.tensor([0, 3]), {}, r"token ids must lie in \[0, 3\)"),
        (H, W, T, {"bias": torch.zeros(4)}, r"`bias` has shape \(4,\); it must be \[3\]"),
        (H, W, T, {"softcap": 0.0}, r"`softcap` is 0.0; it must be finite and above 0"),
        (H, W, T, {"temperature": math.inf}, r"`temperature` is inf"),
        (H, W, T, {"backend": "x"}, r"unknown backend 'x'. Known: auto, chunked, native, reference, triton"),
    ],
)
def test_linear_token_stats_refuses(hidden, weight, targets, options, message):
    with pytest.raises(InputError, match=message):
        linear_token_stats(hidden, weight, targets, **options)
