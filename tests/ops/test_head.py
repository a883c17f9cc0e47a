"""The output layer: softcap and temperature, sums of gradients, and the dtype of the products."""

from functools import partial

import pytest
import torch

from aent import ops
from aent.ops import head
from aent.ops.backends import chunked
from aent.ops.head import Head, HeadGradients
from aent.subsets import TopK

linear_token_stats = partial(ops.linear_token_stats, backend="chunked")

# relative to the largest value of the reference (or to 1, if that is smaller): values, gradients
TOLERANCES = {
    torch.float64: (1e-13, 1e-13),
    torch.float32: (1e-6, 5e-6),
    torch.bfloat16: (1e-6, 8e-3),  # the statistics are float32; the gradient is rounded to bfloat16
}


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Several chunks of several blocks, none of them full, in the small cases below."""
    torch.manual_seed(0)
    monkeypatch.setattr(chunked, "BLOCK", 300)
    monkeypatch.setattr(chunked, "CHUNK", 1000)
    monkeypatch.setattr(chunked, "CHUNK_ROWS", 5)


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


def test_softcap_comes_before_temperature_and_its_slope_is_autograds():
    z = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    capped = 2.0 * torch.tanh(z / 2.0)
    (slope,) = torch.autograd.grad(capped.sum(), z)
    scaled = z.detach().clone()
    found = Head(torch.float64, temperature=0.5, softcap=2.0).scale_(scaled)
    torch.testing.assert_close(scaled, capped.detach() / 0.5)
    torch.testing.assert_close(found, slope)
    assert Head(torch.float64, temperature=0.5).scale_(scaled) is None


def test_logits_by_hand():
    """Hidden (1, 2), weights (1, 1) and (3, -1): 3 and 1; the bias adds 10 and 20."""
    hidden, weight = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 1.0], [3.0, -1.0]])
    make = Head(torch.float32).logits_
    assert make(torch.empty(1, 2), hidden, weight, None).tolist() == [[3, 1]]
    assert make(torch.empty(1, 2), hidden, weight, torch.tensor([10.0, 20.0])).tolist() == [[13, 21]]
    half = Head(torch.bfloat16).logits_(torch.empty(1, 2, dtype=torch.bfloat16), hidden, weight, None)
    assert half.tolist() == [[3, 1]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_gradients_of_chunks_add_up_to_those_of_autograd(dtype, monkeypatch):
    """In the dtype of the weight, and in a wider one, where the product is added tile by tile."""
    monkeypatch.setattr(head, "TILE", 10)
    hidden, weight, bias = (torch.randn(*s, requires_grad=True) for s in ((7, 4), (11, 4), (11,)))
    up = torch.randn(7, 11)
    expected = torch.autograd.grad(
        (torch.nn.functional.linear(hidden, weight, bias) * up).sum(), (hidden, weight, bias)
    )
    made = HeadGradients((True, True, True), hidden, weight, bias, dtype)
    for rows in (slice(0, 3), slice(3, 7)):
        made.add_(rows, up[rows], hidden[rows].detach(), weight.detach())
    for given, right in zip(made.finish(hidden, weight, bias), expected, strict=True):
        assert given.dtype == torch.float32
        torch.testing.assert_close(given, right)
    unwanted = HeadGradients((False, False, False), hidden, weight, bias, dtype)
    assert unwanted.finish(hidden, weight, bias) == (None, None, None)


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
