# pyright: reportIndexIssue=false
"""Launch `aent.ops.backends.triton_kernels`: sizes of tiles and of the sample, the last step in float64."""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from aent.ops.backends import triton_kernels
from aent.subsets import Rule

__all__ = ["TILES", "Tiles", "differentiate", "measure"]


class Tiles(NamedTuple):
    """Sizes, all powers of two. They were chosen by counting instructions for Hopper, not by timing."""

    block: int = 1024
    """Lanes that walk over a row."""
    depth: int = 32
    """Places in the queue of each lane."""
    segment: int = 16
    """Neighboring tokens in a sample: one memory transaction."""
    backward: int = 4096
    """Tokens per program in backward."""


TILES = Tiles()

_SHIFTS = {torch.float32: 0, torch.bfloat16: 16, torch.float16: 13}  # low bits that are always 0


def measure(
    logits: Float[Tensor, "rows vocab"],
    targets: Int[Tensor, " rows"],
    rule: Rule,
    temperature: float,
    out: Float[Tensor, "rows 8"],
) -> None:
    """Fill `out` (columns of `RowStats`, in nats) from logits not yet divided by the temperature."""
    rows, vocab = logits.shape
    if not rows:
        return
    tiles = TILES
    programs = min(rows, _programs(logits))
    dropped, sample, ranks = 0, 0, [0] * 3
    if rule.kind == "count":
        dropped = vocab - rule.kept
        sample, *ranks = _sample_plan(vocab, dropped, tiles)
    queue = logits.new_empty(programs, tiles.depth * tiles.block, dtype=torch.float32)
    with torch.cuda.device_of(logits):
        launch: Any = triton_kernels.forward[(programs,)]  # also takes the options of the launch
        launch(
            logits, targets, out, queue, logits.stride(0), rows, vocab, _scale(temperature),
            dropped, *ranks,
            KIND=rule.kind, MASS=rule.mass, SHIFT=_SHIFTS[logits.dtype], SAMPLE=sample,
            SEGMENT=tiles.segment, BLOCK=tiles.block, DEPTH=tiles.depth, num_warps=8,
        )  # fmt: skip
    _finish_(out)


def differentiate(
    logits: Float[Tensor, "rows vocab"],
    targets: Int[Tensor, " rows"],
    kept: Float[Tensor, "rows 6"],
    grads: Float[Tensor, "rows 2"],
    temperature: float,
    out: Float[Tensor, "rows vocab"],
) -> None:
    """Fill `out`, which may be `logits`, with the gradient, given those of (logp, entropy).

    `grads` are already divided by the temperature.
    """
    rows, vocab = logits.shape
    if not rows:
        return
    block = TILES.backward
    with torch.cuda.device_of(logits):
        launch: Any = triton_kernels.backward[(rows, math.ceil(vocab / block))]
        launch(
            logits, out, targets, kept, grads, logits.stride(0), out.stride(0), vocab,
            _scale(temperature), BLOCK=block, num_warps=8,
        )  # fmt: skip


def _scale(temperature: float) -> float:
    return 1 / (math.log(2) * temperature)


def _programs(x: Tensor) -> int:
    """Return how many rows run at a time: two on each multiprocessor hide each other's latency."""
    return 2 * torch.cuda.get_device_properties(x.device).multi_processor_count if x.is_cuda else 2


def _sample_plan(vocab: int, dropped: int, tiles: Tiles) -> tuple[int, int, int, int]:
    """Return the size of the sample and the ranks of (left, pivot, right) in it.

    The bracket is four standard deviations wide on each side. The sample grows until the queues, which fill
    unevenly, are expected to be a third full. If a whole row fits into a third of the queues, there is no
    sample (0).
    """
    room = tiles.block * tiles.depth // 3
    if vocab <= room:
        return 0, 0, 0, 0
    size = 4 * tiles.segment
    below = dropped / vocab
    while True:
        slack = 4 * math.sqrt(size * below * (1 - below)) + 4
        lo, hi = math.floor(size * below - slack), math.ceil(size * below + slack)
        inside = vocab * (min(hi, size) - max(lo, 0)) / size
        if inside <= room or 4 * size > vocab:
            return size, lo, min(int(size * below), size - 1), hi
        size *= 2


def _finish_(stats: Float[Tensor, "rows 8"]) -> None:
    """Turn (log2 of target over peak, moment, kept moment) into (logp, full entropy, entropy).

    This is done in float64, because large numbers are subtracted; it is one computation per row.
    """
    target, moment, kept_moment, _, total, kept_total, _, _ = stats.double().unbind(-1)
    stats[:, 0] = target * math.log(2) - total.log()
    stats[:, 1] = _entropy(moment, total)
    stats[:, 2] = _entropy(kept_moment, kept_total)


def _entropy(moment: Float[Tensor, " rows"], total: Float[Tensor, " rows"]) -> Float[Tensor, " rows"]:
    return (total.log() - moment / total * math.log(2)).clamp_(min=0)
