"""Fresh memory, which on a CPU costs more to touch first than the arithmetic that fills it."""

import numpy as np
import torch
from torch import Tensor

SMALL = 1 << 22
"""Bytes below which an allocator has memory that was touched before."""


def untouched(like: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return a contiguous tensor on the device of `like`, its content undefined.

    Large ones on a CPU are numpy's: it asks Linux for huge pages, which torch does not. Touching 150
    MiB of them for the first time took 20 ms where pages of 4 KiB took 70. A virtual machine that
    hands free memory back to its host may take 100 to 300 ms for either: `overwrite` needs neither.
    """
    bytes_ = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    if like.device.type != "cpu" or bytes_ < SMALL:
        return like.new_empty(shape, dtype=dtype)
    return torch.from_numpy(np.empty(bytes_, np.uint8)).view(dtype).view(shape)
