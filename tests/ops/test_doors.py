"""The doors: golden values for every backend, and the backend that `auto` takes."""

import math
from types import SimpleNamespace

import pytest
import torch

from aent.ops import doors, linear_token_stats, token_stats
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
    monkeypatch.setattr(doors, "_has_numba", lambda: numba)
    assert doors._auto(SimpleNamespace(device=torch.device(device))) == expected
