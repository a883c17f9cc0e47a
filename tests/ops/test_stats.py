"""What every backend promises about the tensors in `TokenStats`."""

import pytest
import torch

from aent.ops import linear_token_stats, token_stats
from aent.subsets import Full, TopK

# triton wants a GPU or the interpreter, and native is checked on all this in its own file, with float32
every_backend = pytest.mark.parametrize("backend", ["auto", "chunked", "reference"])  # auto: mostly native


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
