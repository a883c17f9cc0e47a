"""The compiled CPU backend: the walk of `aent.ops.native_kernels` over float32 rows.

Needs numba (``pip install aent[native]``), which compiles on first use, for some seconds, and keeps
the result beside the package or in the user's cache (elsewhere: NUMBA_CACHE_DIR).
Rows of other dtypes, and rows to be divided by a temperature, pass through a small float32 buffer.
float64 is for checking, not for speed: such input is computed by `aent.ops.chunked`. A subset of
your own cuts as it does there, and the rest is compiled.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.autograd.graph import increment_version

from aent.errors import InputError
from aent.ops import chunked
from aent.ops.head import Head, HeadGradients
from aent.ops.rows import RowStats
from aent.ops.stats import TokenStats
from aent.subsets import Fraction, Full, Subset, TopK, TopP

BLOCK = 1 << 18
"""Logits that pass through the buffer at a time, per thread: they fit a core's cache."""
CHUNK = 1 << 20
"""Logits of a chunk in the linear door."""
CHUNK_ROWS = 128
"""Fewest rows of a chunk: each chunk reads and writes the whole gradient of the weight."""
SHARE = 1 << 16
"""Fewest logits that are worth a thread."""


def token_stats(
    logits: Float[Tensor, "rows vocab"],
    targets: Int[Tensor, " rows"],
    subset: Subset,
    temperature: float,
    *,
    overwrite: bool = False,
) -> TokenStats:
    """See `aent.ops.token_stats` (nats).

    With `overwrite`, backward writes the gradient over the logits and takes no other memory: for
    logits that nothing reads afterwards, neither the operation that made them nor a second backward.

    Raises:
        InputError: off the CPU, without numba, or if `overwrite` is asked of a leaf or of float64.
    """
    _require_cpu(logits)
    if overwrite and (logits.dtype == torch.float64 or (logits.is_leaf and logits.requires_grad)):
        raise InputError(
            "`overwrite` is for logits that an operation made, up to float32; these are"
            f" {logits.dtype}{', a leaf' if logits.is_leaf else ''}. Leave it off."
        )
    if logits.dtype == torch.float64:
        return chunked.token_stats(logits, targets, subset, temperature)
    return TokenStats(*_FromLogits.apply(logits, targets, subset, temperature, overwrite))


def linear_token_stats(
    hidden: Float[Tensor, "rows dim"],
    weight: Float[Tensor, "vocab dim"],
    bias: Float[Tensor, " vocab"] | None,
    targets: Int[Tensor, " rows"],
    subset: Subset,
    temperature: float,
    softcap: float | None,
    gather: Callable[[], AbstractContextManager[object]],
) -> TokenStats:
    """See `aent.ops.linear_token_stats` (nats). Called inside `gather`; backward enters it anew.

    Raises:
        InputError: off the CPU, or without numba.
    """
    _require_cpu(hidden)
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else hidden.dtype
    if hidden.dtype == torch.float64:
        return chunked.linear_token_stats(hidden, weight, bias, targets, subset, temperature, softcap, gather)
    head = Head(dtype, temperature, softcap, gather)
    return TokenStats(*_FromHidden.apply(hidden, weight, bias, targets, subset, head))


class _FromLogits(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, targets: Tensor, subset: Subset, temperature: float, overwrite: bool
    ) -> tuple[Tensor, ...]:
        ctx.temperature, ctx.overwrite = temperature, overwrite
        stats = _empty_stats(logits)
        with _team() as team:
            for block, rows in _float32_blocks(logits, temperature):
                _measure(team, block, targets[rows], subset, stats[rows])
        ctx.save_for_backward(logits, targets, stats)
        return _outputs(ctx, stats)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        logits, targets, stats = ctx.saved_tensors
        given = _given(grads, ctx.temperature)
        grad = logits.detach() if ctx.overwrite else torch.empty_like(logits)
        direct = _direct(logits, ctx.temperature)
        with _team() as team:
            for block, rows in _float32_blocks(logits, ctx.temperature):
                out = grad[rows] if direct else block
                _differentiate(team, block, targets[rows], stats[rows], given[rows], out)
                if not direct:
                    grad[rows] = out
        if ctx.overwrite:
            increment_version(logits)  # autograd refuses to use what is there no more
        return grad, None, None, None, None


class _FromHidden(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        subset: Subset,
        head: Head,
    ) -> tuple[Tensor, ...]:
        ctx.head = head
        stats = _empty_stats(hidden)
        z = _chunk(hidden, weight)
        with _team() as team, torch.autocast("cpu", enabled=False):
            h, w, b = head.cast(hidden, weight, bias)
            for rows in _slices(len(hidden), len(z)):
                chunk = head.logits_(z[: rows.stop - rows.start], h[rows], w, b)
                for block, at in _blocks(chunk, rows):
                    head.scale_(block)
                    _measure(team, block, targets[at], subset, stats[at])
        ctx.save_for_backward(hidden, weight, bias, targets, stats)
        return _outputs(ctx, stats)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets, stats = ctx.saved_tensors
        head: Head = ctx.head
        given = _given(grads, head.temperature)
        with head.gather(), _team() as team, torch.autocast("cpu", enabled=False):
            made = HeadGradients(ctx.needs_input_grad, hidden, weight, bias, stats.dtype)
            z = _chunk(hidden, weight)
            h, w, b = head.cast(hidden, weight, bias)
            for rows in _slices(len(hidden), len(z)):
                chunk = head.logits_(z[: rows.stop - rows.start], h[rows], w, b)
                for block, at in _blocks(chunk, rows):
                    slope = head.scale_(block)
                    _differentiate(team, block, targets[at], stats[at], given[at], block)
                    if slope is not None:
                        block.mul_(slope)
                made.add_(rows, chunk, h[rows], w)
            return *made.finish(hidden, weight, bias), None, None, None


def _measure(
    team: ThreadPoolExecutor,
    z: Float[Tensor, "rows vocab"],
    targets: Int[Tensor, " rows"],
    subset: Subset,
    out: Float[Tensor, "rows 8"],
) -> None:
    kernels, vocab = _kernels(), z.shape[1]
    kept, mass = vocab, 1.0  # of these types exactly: a subclass may cut in its own way
    if type(subset) is Fraction:
        kept = vocab - int(subset.drop * vocab)
    elif type(subset) is TopK:
        kept = min(int(subset.k), vocab)
    elif type(subset) is TopP:
        mass = subset.mass
    elif type(subset) is not Full:
        kept = kernels.GIVEN
        for rows in _slices(len(z), max(1, BLOCK // vocab)):
            _write_cuts(subset, z[rows], RowStats(*out[rows].split(1, -1)))
    _by_rows(team, kernels.measure, [z, targets, out], kept, mass)


def _write_cuts(subset: Subset, z: Float[Tensor, "rows vocab"], out: RowStats) -> None:
    cut = subset.cut(z)
    out.threshold.copy_(torch.tensor(-torch.inf) if cut is None else cut.threshold)
    out.share.copy_(torch.tensor(1.0) if cut is None else cut.share)


def _differentiate(team: ThreadPoolExecutor, *tensors: Tensor) -> None:
    _by_rows(team, _kernels().differentiate, tensors)


def _by_rows(
    team: ThreadPoolExecutor, kernel: Callable[..., None], tensors: Sequence[Tensor], *options: float
) -> None:
    """Share the rows among threads; a row is computed by one thread, and always in the same way."""
    arrays = [x.detach().numpy() for x in tensors]
    parts = min(torch.get_num_threads(), len(arrays[0]), 1 + arrays[0].size // SHARE)
    if parts <= 1:
        kernel(*arrays, *options)
        return
    pieces = zip(*(np.array_split(x, parts) for x in arrays), strict=True)
    for done in [team.submit(kernel, *piece, *options) for piece in pieces]:
        done.result()


def _team() -> ThreadPoolExecutor:
    """Make threads for one call: none starts before it is needed, and none is there after a fork."""
    return ThreadPoolExecutor(torch.get_num_threads())


def _float32_blocks(logits: Tensor, temperature: float) -> Iterator[tuple[Tensor, slice]]:
    """Give the rows as float32 and divided: as they are where they are so, else in a small buffer."""
    if _direct(logits, temperature):
        yield logits.detach(), slice(0, len(logits))
        return
    vocab = logits.shape[1]
    buffer = torch.empty(min(len(logits), _block_rows(vocab)), vocab)
    for rows in _slices(len(logits), _block_rows(vocab)):
        block = buffer[: rows.stop - rows.start].copy_(logits.detach()[rows])
        yield block.div_(temperature) if temperature != 1 else block, rows


def _direct(logits: Tensor, temperature: float) -> bool:
    return logits.dtype == torch.float32 and logits.is_contiguous() and temperature == 1


def _block_rows(vocab: int) -> int:
    return torch.get_num_threads() * max(1, BLOCK // vocab)


def _chunk(hidden: Tensor, weight: Tensor) -> Tensor:
    """Make the buffer that every chunk uses again: fresh memory is slow to touch."""
    rows = min(len(hidden), max(CHUNK_ROWS, CHUNK // len(weight)))
    return torch.empty(max(1, rows), len(weight))


def _slices(length: int, step: int) -> Iterator[slice]:
    return (slice(i, min(i + step, length)) for i in range(0, length, step))


def _blocks(chunk: Tensor, rows: slice) -> Iterator[tuple[Tensor, slice]]:
    """Cut a chunk into blocks; with each, the rows of the whole input that it holds."""
    for s in _slices(len(chunk), _block_rows(chunk.shape[1])):
        yield chunk[s], slice(rows.start + s.start, rows.start + s.stop)


def _empty_stats(x: Tensor) -> Tensor:
    return torch.empty(len(x), len(RowStats._fields))


def _outputs(ctx: Any, stats: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    logp, entropy, full_entropy = (stats[:, i].clone() for i in range(3))
    ctx.mark_non_differentiable(full_entropy)
    return logp, entropy, full_entropy


def _given(grads: Sequence[Tensor], temperature: float) -> Float[Tensor, "rows 2"]:
    return torch.stack(list(grads[:2]), -1) / temperature


def _require_cpu(x: Tensor) -> None:
    if x.device.type != "cpu":
        raise InputError(
            f"backend 'native' computes on the CPU; this input is on '{x.device}'."
            " Use backend='auto', which takes what fits the device."
        )
    _kernels()


def _kernels() -> ModuleType:
    try:
        from aent.ops import native_kernels
    except ModuleNotFoundError as error:
        if error.name not in ("numba", "llvmlite"):
            raise
        raise InputError(
            "backend 'native' needs numba, which is not installed: pip install aent[native]."
            " backend='chunked' needs nothing more."
        ) from error
    return native_kernels
