"""The portable backend: chunk by chunk, with the gradient in closed form (`aent.ops.rows`).

Autocast is switched off inside. Statistics are float32 (float64 for float64 input); the products of
the linear door are taken in the autocast dtype where it is on, as an output layer would.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from aent.ops.head import Head, HeadGradients
from aent.ops.rows import RowStats, Scratch, differentiate_, measure_
from aent.ops.stats import TokenStats
from aent.subsets import Subset

BLOCK = 1 << 18
"""Elements worked on at a time on a CPU: they fit a core's cache and are many to one call."""
CHUNK = 1 << 20
"""Elements of a chunk of logits in the linear door on a CPU."""
CHUNK_ROWS = 128
"""Fewest rows of a chunk: each chunk reads and writes the whole gradient of the weight."""
ACCELERATOR = 1 << 26
"""Elements of a block and of a chunk elsewhere, where calls cost more than memory."""


def token_stats(
    logits: Float[Tensor, "rows vocab"],
    targets: Int[Tensor, " rows"],
    subset: Subset,
    temperature: float,
) -> TokenStats:
    """See `aent.ops.token_stats` (nats)."""
    return TokenStats(*_FromLogits.apply(logits, targets, subset, temperature))


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
    """See `aent.ops.linear_token_stats` (nats). Called inside `gather`; backward enters it anew."""
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    head = Head(dtype, temperature, softcap, gather)
    return TokenStats(*_FromHidden.apply(hidden, weight, bias, targets, subset, head))


class _FromLogits(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, targets: Tensor, subset: Subset, temperature: float
    ) -> tuple[Tensor, ...]:
        ctx.head = Head(logits.dtype, temperature)
        ctx.clamped = False
        stats = _empty_stats(logits)
        _, step = _steps(logits, *logits.shape)
        z, scratch = _workspace(logits, step, step, logits.shape[1])
        with _no_autocast(logits):
            for rows in _slices(len(logits), step):
                block = z[: rows.stop - rows.start].copy_(logits[rows])
                ctx.head.scale_(block)
                ctx.clamped |= measure_(block, targets[rows], subset, scratch, stats[rows])
        ctx.save_for_backward(logits, targets, stats)
        return _outputs(ctx, stats)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        logits, targets, stats = ctx.saved_tensors
        given = torch.stack(grads[:2], -1) / ctx.head.temperature
        grad = torch.empty_like(logits)
        _, step = _steps(logits, *logits.shape)
        z, scratch = _workspace(logits, step, step, logits.shape[1])
        in_place = grad.dtype == z.dtype
        with _no_autocast(logits):
            for rows in _slices(len(logits), step):
                block = grad[rows] if in_place else z[: rows.stop - rows.start]
                ctx.head.scale_(block.copy_(logits[rows]))
                saved = stats[rows]
                differentiate_(block, targets[rows], saved, given[rows], scratch, ctx.clamped)
                if not in_place:
                    grad[rows] = block
        return grad, None, None, None


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
        ctx.clamped = False
        stats = _empty_stats(hidden)
        step, block_step = _steps(hidden, len(hidden), len(weight))
        z, scratch = _workspace(hidden, step, block_step, len(weight))
        with _no_autocast(hidden):
            h, w, b = head.cast(hidden, weight, bias)
            for rows in _slices(len(hidden), step):
                chunk = head.logits_(z[: rows.stop - rows.start], h[rows], w, b)
                for block, at in _blocks(chunk, rows, block_step):
                    head.scale_(block)
                    ctx.clamped |= measure_(block, targets[at], subset, scratch, stats[at])
        ctx.save_for_backward(hidden, weight, bias, targets, stats)
        return _outputs(ctx, stats)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets, stats = ctx.saved_tensors
        head: Head = ctx.head
        given = torch.stack(grads[:2], -1) / head.temperature
        with head.gather(), _no_autocast(hidden):
            made = HeadGradients(ctx.needs_input_grad, hidden, weight, bias, stats.dtype)
            step, block_step = _steps(hidden, len(hidden), len(weight))
            z, scratch = _workspace(hidden, step, block_step, len(weight))
            h, w, b = head.cast(hidden, weight, bias)
            for rows in _slices(len(hidden), step):
                chunk = head.logits_(z[: rows.stop - rows.start], h[rows], w, b)
                for block, at in _blocks(chunk, rows, block_step):
                    slope = head.scale_(block)
                    differentiate_(block, targets[at], stats[at], given[at], scratch, ctx.clamped)
                    if slope is not None:
                        block.mul_(slope)
                made.add_(rows, chunk, h[rows], w)
            return *made.finish(hidden, weight, bias), None, None, None


def _no_autocast(x: Tensor) -> torch.autocast:
    return torch.autocast(x.device.type, enabled=False)


def _precise(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _empty_stats(x: Tensor) -> Tensor:
    return x.new_empty(len(x), len(RowStats._fields), dtype=_precise(x))


def _workspace(x: Tensor, rows: int, block_rows: int, vocab: int) -> tuple[Tensor, Scratch]:
    """Make the buffers that every chunk uses again: fresh memory is slow to touch."""
    z, e, w = (x.new_empty(n, vocab, dtype=_precise(x)) for n in (rows, block_rows, block_rows))
    return z, Scratch(e, w)


def _steps(x: Tensor, rows: int, vocab: int) -> tuple[int, int]:
    """Return the rows of a chunk and of a block."""
    chunk, block = (CHUNK, BLOCK) if x.device.type == "cpu" else (ACCELERATOR, ACCELERATOR)
    chunk_rows = max(1, min(rows, max(CHUNK_ROWS, chunk // vocab)))
    return chunk_rows, max(1, min(chunk_rows, block // vocab))


def _slices(length: int, step: int) -> Iterator[slice]:
    return (slice(i, min(i + step, length)) for i in range(0, length, step))


def _blocks(chunk: Tensor, rows: slice, step: int) -> Iterator[tuple[Tensor, slice]]:
    """Cut a chunk into blocks; with each, the rows of the whole input that it holds."""
    for s in _slices(len(chunk), step):
        yield chunk[s], slice(rows.start + s.start, rows.start + s.stop)


def _outputs(ctx: Any, stats: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    logp, entropy, full_entropy = (stats[:, i].clone() for i in range(3))
    ctx.mark_non_differentiable(full_entropy)
    return logp, entropy, full_entropy
