"""The compiled CPU backend: the walk of `aent.ops.backends.native_kernels` over float32 rows.

Needs numba (``pip install numba``). numba compiles on first use, which takes some seconds, and keeps
the result beside the package or in the user's cache; NUMBA_CACHE_DIR chooses another place.

Rows of other dtypes, and rows with a softcap or a temperature, pass through a small float32 buffer. float64
is for checking, not for speed: `aent.ops.backends.chunked` computes it. A subset of your own cuts as it does
there, and the rest is compiled.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from aent.errors import InputError
from aent.ops.backend import Arithmetic
from aent.ops.backends.chunked import Chunked
from aent.ops.closed_form import RowStats, slices, write_cut
from aent.ops.head import Head
from aent.subsets import Subset, cut_of, rule_of

BLOCK = 1 << 19
"""Logits that pass through the buffer at a time, per thread: one call each, and still close to the core."""

CHUNK = 1 << 20
"""float32 logits in a chunk of the linear doors; twice as many if they have 16 bits."""

CHUNK_ROWS = 128
"""Fewest float32 rows in a chunk: every chunk reads and writes the whole gradient of the weight."""

SHARE = 1 << 16
"""Smallest number of logits that is worth a thread."""


def arithmetic(x: Tensor, subset: Subset, head: Head) -> Arithmetic:
    """Return this backend's arithmetic, or that of `chunked` for float64.

    Raises:
        InputError: if the input is not on the CPU, or numba is not installed.
    """
    if x.device.type != "cpu":
        raise InputError(
            f"backend 'native' computes on the CPU; this input is on '{x.device}'."
            " Use backend='auto', which takes a backend that fits the device."
        )
    _kernels()
    return Chunked(subset, head) if x.dtype == torch.float64 else Native(subset, head)


class Native(Arithmetic):
    """CPU; float32, bfloat16 and float16; any subset."""

    def chunk_rows(self, z: Tensor, vocab: int) -> int:
        """Return how many rows of logits the linear door computes at a time."""
        return max(CHUNK_ROWS, CHUNK // vocab) * 4 // self.head.dtype.itemsize

    def measure(
        self, z: Float[Tensor, "rows vocab"], targets: Int[Tensor, " rows"], out: Float[Tensor, "rows 8"]
    ) -> None:
        """Fill `out` with the columns of `RowStats`."""
        with _team() as team:
            for rows, block, _ in self._float32(z):
                kept, mass = self._kept(block, out[rows])
                _by_rows(team, _kernels().measure, [block, targets[rows], out[rows]], kept, mass)

    def differentiate(
        self,
        z: Float[Tensor, "rows vocab"],
        targets: Int[Tensor, " rows"],
        kept: Float[Tensor, "rows 6"],
        grads: Float[Tensor, "rows 2"],
        out: Float[Tensor, "rows vocab"],
    ) -> None:
        """Fill `out`, which may be `z`, with the gradient with respect to `z`."""
        direct = self._direct(z) and out.is_contiguous()
        with _team() as team:
            for rows, block, slope in self._float32(z):
                g = out[rows] if direct else block
                tensors = [block, targets[rows], kept[rows], grads[rows], g]
                _by_rows(team, _kernels().differentiate, tensors)
                if slope is not None:
                    g.mul_(slope)
                if not direct:
                    out[rows] = g

    def _kept(self, z: Float[Tensor, "rows vocab"], out: Float[Tensor, "rows 8"]) -> tuple[int, float]:
        """Return what the kernel keeps, by count and by mass; the cuts of other subsets go into `out`."""
        vocab = z.shape[1]
        rule = rule_of(self.subset, vocab)
        if rule.kind == "own":
            for rows in slices(len(z), max(1, BLOCK // vocab)):
                write_cut(cut_of(self.subset, z[rows]), RowStats(*out[rows].split(1, -1)))
            return _kernels().OWN, 1.0
        return (rule.kept if rule.kind == "count" else vocab), rule.mass

    def _float32(self, z: Tensor) -> Iterator[tuple[slice, Tensor, Tensor | None]]:
        """Yield rows as float32 after softcap and temperature, and the softcap's derivative.

        Rows that need no conversion are yielded as they are; others pass through a small buffer.
        """
        if self._direct(z):
            yield slice(0, len(z)), z, None
            return
        step = torch.get_num_threads() * max(1, BLOCK // z.shape[1])
        buffer = z.new_empty(min(len(z), step), z.shape[1], dtype=torch.float32)
        for rows in slices(len(z), step):
            block = buffer[: rows.stop - rows.start].copy_(z[rows])
            yield rows, block, self.head.scale_(block)

    def _direct(self, z: Tensor) -> bool:
        plain = self.head.temperature == 1 and self.head.softcap is None
        return plain and z.dtype == torch.float32 and z.is_contiguous()


def _by_rows(
    team: ThreadPoolExecutor, kernel: Callable[..., None], tensors: Sequence[Tensor], *options: float
) -> None:
    """Share the rows among threads. One thread computes a whole row, always in the same way."""
    arrays = [x.detach().numpy() for x in tensors]
    parts = min(torch.get_num_threads(), len(arrays[0]), 1 + arrays[0].size // SHARE)
    if parts <= 1:
        kernel(*arrays, *options)
        return
    pieces = zip(*(np.array_split(x, parts) for x in arrays), strict=True)
    for future in [team.submit(kernel, *piece, *options) for piece in pieces]:
        future.result()


def _team() -> ThreadPoolExecutor:
    """Return threads for one call: none starts before it is needed, and none survives into a fork."""
    return ThreadPoolExecutor(torch.get_num_threads())


def _kernels() -> ModuleType:
    try:
        from aent.ops.backends import native_kernels
    except ModuleNotFoundError as error:
        if error.name not in ("numba", "llvmlite"):
            raise
        raise InputError(
            "backend 'native' needs numba, which is not installed: pip install numba."
            " backend='chunked' needs no further package."
        ) from error
    return native_kernels
