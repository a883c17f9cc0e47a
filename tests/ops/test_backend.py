"""What every backend is built on."""

import pytest
import torch

from aent.ops.backend import statistics_dtype
from aent.ops.backends.chunked import Chunked
from aent.ops.head import Head
from aent.subsets import Full


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
    ],
)
def test_statistics_are_float32_but_for_float64(dtype, expected):
    assert statistics_dtype(torch.empty(1, dtype=dtype)) == expected


def test_without_ranks_there_is_nothing_to_sum():
    grad = torch.randn(3, 4)
    assert Chunked(Full(), Head(torch.float32)).summed(grad) is grad
