"""The vocabulary split over gloo ranks, against the reference on whole rows."""

import math
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

import parallel_ranks as ranks

from aent.errors import InputError
from aent.ops import linear_token_stats, token_stats
from aent.ops.parallel import parallel_linear_token_stats, parallel_token_stats
from aent.subsets import Fraction, Full, TopK, TopP

# relative to the largest value of the reference (or to 1, if that is smaller): values, gradients
TOLERANCES = {
    torch.float64: (1e-13, 1e-13),
    torch.float32: (1e-6, 5e-6),
    torch.bfloat16: (1e-6, 1.6e-2),  # each rank rounds its part of the gradient of `hidden`
}
every_subset = pytest.mark.parametrize("subset", ranks.SUBSETS, ids=str)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, launch):
    """Where four processes have left what each got for each case."""
    folder = tmp_path_factory.mktemp("ranks")
    launch(ranks.__file__, folder, processes=4)
    return folder


@pytest.fixture(scope="module", params=[2, 4])
def results(request, folder):
    """What each of two and of four ranks got, for each case."""
    return [torch.load(folder / f"{rank}-of-{request.param}.pt") for rank in range(request.param)]


def dense_logits(case, precise=False):
    z = case["logits"].to(torch.float64 if precise else case["logits"].dtype).requires_grad_()
    stats = token_stats(z, case["targets"], backend="reference", **case["options"])
    (case["up"][0] * stats.logp + case["up"][1] * stats.entropy).sum().backward()
    return [*(x.detach() for x in stats), z.grad]


def dense_linear(case):
    leaves = [x.clone().requires_grad_() for x in case["leaves"]]
    stats = linear_token_stats(
        leaves[0], leaves[1], case["targets"], bias=leaves[2], backend="reference", **case["options"]
    )
    (case["up"][0] * stats.logp + case["up"][1] * stats.entropy).sum().backward()
    return [*(x.detach() for x in stats), *(x.grad for x in leaves)]


def whole_logits(parts):
    """Put what the ranks got together."""
    return [*parts[0]["stats"], torch.cat([p["grads"][0] for p in parts], -1)]


def whole_linear(parts):
    weight, bias = (torch.cat([p["grads"][i] for p in parts]) for i in (1, 2))
    return [*parts[0]["stats"], parts[0]["grads"][0], weight, bias]


def assert_agree(given, expected, dtype):
    for i, (a, b) in enumerate(zip(given, expected, strict=True)):
        assert a.dtype == (torch.promote_types(dtype, torch.float32) if i < 3 else dtype)
        assert torch.isfinite(a).all()
        scale = max(1.0, b.double().abs().max().item())
        error = (a.double() - b.double()).abs().max().item() / scale
        assert error <= TOLERANCES[dtype][i >= 3], (i, error)


def assert_same(parts, n_shared_grads):
    """Every rank has every bit of what all ranks share."""
    for part in parts[1:]:
        for a, b in zip(part["stats"], parts[0]["stats"], strict=True):
            assert torch.equal(a, b)
        for a, b in zip(part["grads"][:n_shared_grads], parts[0]["grads"], strict=False):
            assert torch.equal(a, b)


@every_subset
@pytest.mark.parametrize(("name", "dtype"), ranks.LOGITS_CASES, ids=str)
def test_logits_door_agrees(name, dtype, subset, results):
    parts = [r[f"{name} {dtype} {subset}"] for r in results]
    assert_same(parts, 0)
    # far from zero, float32 is too coarse for the reference
    expected = dense_logits(ranks.logits_case(name, dtype, subset), precise=name == "extremes")
    assert_agree(whole_logits(parts), expected, dtype)


@every_subset
@pytest.mark.parametrize(("dtype", "softcap"), ranks.LINEAR_CASES, ids=str)
def test_linear_door_agrees(dtype, softcap, subset, results):
    parts = [r[f"linear {dtype} {subset} {softcap}"] for r in results]
    assert_same(parts, 1)
    assert_agree(whole_linear(parts), dense_linear(ranks.linear_case(dtype, subset, softcap)), dtype)


def test_chunks_agree(results):
    case = ranks.logits_case("normal", torch.float32, TopK(k=20))
    parts = [r["chunks logits"] for r in results]
    assert_agree(whole_logits(parts), dense_logits(case), torch.float32)
    case = ranks.linear_case(torch.float32, TopK(k=20), 3.0)
    parts = [r["chunks linear"] for r in results]
    assert_agree(whole_linear(parts), dense_linear(case), torch.float32)


def test_collectives_are_few_and_small(results):
    n = ranks.ROWS
    hello, start, both = ("all_gather", 2, 8), ("all_reduce", 2 * n, 4), ("all_reduce", 2 * n, 8)
    search, kept = [("all_reduce", 15 * n, 8)] * 8, ("all_reduce", 4 * n, 8)
    summed = ("all_reduce", n * ranks.DIM, 4)
    for r in results:
        for subset in (Full(), Fraction(drop=0)):  # nothing to search for
            assert r[f"normal torch.float32 {subset}"]["forward"] == [hello, start, both]
        for subset in (TopK(k=20), TopP(mass=0.9)):
            for name in ranks.LOGITS:  # whatever the logits are
                case = r[f"{name} torch.float32 {subset}"]
                assert case["forward"] == [hello, start, both, *search, kept]
                assert case["backward"] == []
            case = r[f"linear torch.bfloat16 {subset} None"]
            assert case["forward"] == [hello, start, both, *search, kept]
            assert case["backward"] == [summed]
        assert len(r["chunks linear"]["forward"]) == 1 + 4 * 11  # 10 rows of 37 at a time
        assert r["chunks linear"]["backward"] == [summed]


def test_no_rows(results):
    for rank, r in enumerate(results):
        case = r["no rows"]
        assert [x.shape for x in case["stats"]] == [(0,)] * 3
        width = ranks.WIDTHS[len(results)][rank]
        shapes = [(0, ranks.DIM), (width, ranks.DIM), (width,)]
        assert [x.tolist() for x in case["grads"]] == [torch.zeros(s).tolist() for s in shapes]


def test_ranks_with_different_rows_all_raise(results):
    for r in results:
        assert r["different rows"].startswith(f"the ranks hold {list(range(len(results)))} rows")


def test_a_process_outside_the_group_raises(folder):
    assert "this process belongs to no process group" in torch.load(folder / "outside.pt")


# ---- one rank, in this process


@pytest.fixture
def alone():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_golden_values(alone):
    # 2 | 1 1 1 1 | 0: three places, two of them for four tied tokens of e^1, so with r = e^-1
    # A = e^2 (1 + 2 r), H = log A - (2 e^2 + 2 e) / A = log(1 + 2 r) + 2 r / (1 + 2 r)
    z = torch.tensor([[1.0, 2, 1, 0, 1, 1]], dtype=torch.float64, requires_grad=True)
    stats = parallel_token_stats(z, torch.tensor([1]), subset=TopK(k=3))
    r = math.exp(-1)
    a = 1 + 2 * r
    assert stats.entropy.item() == pytest.approx(math.log(a) + 2 * r / a, rel=1e-12)
    assert stats.logp.item() == pytest.approx(-math.log(1 + 4 * r + r * r), rel=1e-12)
    stats.entropy.sum().backward()
    # dH/dz = -w q (log q + H): q = 1 / a for the best token, its negative shared by the tied four
    best = -(1 / a) * (2 * r / a)
    assert z.grad is not None
    assert z.grad[0].tolist() == pytest.approx([-best / 4, best, -best / 4, 0, -best / 4, -best / 4])


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.floats(width=32, allow_nan=False, max_value=2.0**99), min_size=2, max_size=12),
    subset=st.sampled_from([Fraction(drop=0.3), TopK(k=3), TopP(mass=0.77)]),
)
def test_cut_is_exact_whatever_the_bits(values, subset, alone):
    """Subnormal, huge and impossible logits too: the same tokens are kept, so H agrees."""
    values[0] = max(v for v in [*values, 0.0] if math.isfinite(v))
    logits, targets = torch.tensor([values]), torch.tensor([0])
    given = parallel_token_stats(logits, targets, subset=subset)
    z = logits.double() - values[0]  # the reference is exact near zero
    expected = token_stats(z, targets, subset=subset, backend="reference")
    for a, b in zip(given, expected, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-6, atol=1e-6)


def test_batch_shapes_and_integer_targets(alone):
    logits, targets = torch.randn(2, 3, 5), torch.randint(0, 5, (2, 3), dtype=torch.int32)
    given = parallel_token_stats(logits, targets, subset=TopK(k=2))
    assert given.logp.shape == (2, 3)
    torch.testing.assert_close(given, token_stats(logits, targets, subset=TopK(k=2)))


def test_full_entropy_never_carries_gradient(alone):
    stats = parallel_token_stats(torch.randn(3, 5, requires_grad=True), torch.zeros(3).long())
    assert stats.entropy.requires_grad
    assert not stats.full_entropy.requires_grad


def test_autocast_takes_products_in_its_dtype_and_statistics_in_float32(alone):
    hidden, weight = torch.randn(7, 6), torch.randn(53, 6)
    targets = torch.randint(0, 53, (7,))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        given = parallel_linear_token_stats(hidden, weight, targets, subset=TopK(k=9))
        expected = linear_token_stats(hidden, weight, targets, subset=TopK(k=9))
    assert given.entropy.dtype == torch.float32
    torch.testing.assert_close(given, expected)


def test_little_is_saved_for_backward(alone):
    rows, vocab, dim = 20, 50, 4
    hidden, weight, logits = (
        torch.randn(*shape, requires_grad=True) for shape in ((rows, dim), (vocab, dim), (rows, vocab))
    )
    targets = torch.zeros(rows, dtype=torch.long)
    saved = []

    def keep(x):
        if x.data_ptr() not in {y.data_ptr() for y in (hidden, weight, logits, targets)}:
            saved.append(x.numel())
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        parallel_linear_token_stats(hidden, weight, targets, subset=TopK(k=3))
        assert sum(saved) <= 8 * rows
        saved.clear()
        parallel_token_stats(logits, targets, subset=TopK(k=3))
        assert sum(saved) <= 8 * rows


class Mine:
    def cut(self, logits):
        return None


Z, T, H, W = torch.zeros(2, 3), torch.zeros(2, dtype=torch.long), torch.zeros(2, 4), torch.zeros(3, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: parallel_token_stats(Z, T, subset=Mine()), r"here no rank holds a whole row"),
        (lambda: parallel_token_stats(Z, T + 3), r"from 3 to 3; token ids must lie in \[0, 3\)"),
        (lambda: parallel_token_stats(Z, T[:1]), r"`targets` has shape \(1,\), `logits_shard`"),
        (lambda: parallel_token_stats(Z, T, temperature=0), r"`temperature` is 0; it must be"),
        (lambda: parallel_linear_token_stats(H, W, T, softcap=-1), r"`softcap` is -1"),
        (lambda: parallel_linear_token_stats(H, W[:, 1:], T), r"`weight` must be \[vocab, dim\]"),
    ],
)
def test_refuses(call, message, alone):
    with pytest.raises(InputError, match=message):
        call()


def test_refuses_without_a_process_group():
    with pytest.raises(InputError, match=r"call torch.distributed.init_process_group first"):
        parallel_token_stats(Z, T)
