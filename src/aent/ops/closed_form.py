"""Statistics of a block of rows and their gradient in closed form, computed in place.

With y = z - max z, e = exp y, weights w of the subset, S = Σ e, A = Σ w e and the clamped entropy
H = log A - (Σ w e y) / A:

    d logp / dz_j = [j = t] - e_j / S            d H / dz_j = -w_j (e_j / A) (y_j - log A + H)

Weights are floating point numbers, because on a CPU they are many times faster than masks.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from aent.subsets import Cut, Subset, cut_of

FLOOR = -1e4
"""A finite stand-in for -inf: its exponential is 0 even in float64, and 0 times it is 0."""


class RowStats(NamedTuple):
    """What forward records of each row, one column each: the results, and what backward needs."""

    logp: Float[Tensor, "rows 1"]
    full_entropy: Float[Tensor, "rows 1"]
    entropy: Float[Tensor, "rows 1"]
    peak: Float[Tensor, "rows 1"]
    total: Float[Tensor, "rows 1"]
    kept_total: Float[Tensor, "rows 1"]
    threshold: Float[Tensor, "rows 1"]
    share: Float[Tensor, "rows 1"]


class Kept(NamedTuple):
    """What backward needs: the entropy, which is also a result, and five saved numbers.

    The peak and the sums are saved instead of log S and log A, because z - max z has no rounding error
    however far z is from 0.
    """

    entropy: Float[Tensor, "rows 1"]
    peak: Float[Tensor, "rows 1"]
    total: Float[Tensor, "rows 1"]
    kept_total: Float[Tensor, "rows 1"]
    threshold: Float[Tensor, "rows 1"]
    share: Float[Tensor, "rows 1"]


class Scratch(NamedTuple):
    """Memory for two blocks, reused for every block."""

    e: Float[Tensor, "rows vocab"]
    w: Float[Tensor, "rows vocab"]


def measure_(
    z: Float[Tensor, "rows vocab"],
    targets: Int[Tensor, " rows"],
    subset: Subset,
    scratch: Scratch,
    out: Float[Tensor, "rows 8"],
) -> None:
    """Fill `out` (columns of `RowStats`) from the temperature-scaled rows `z`, which are overwritten."""
    stats = RowStats(*out.split(1, -1))
    cut = cut_of(subset, z)
    w = None if cut is None else cut.weights(z, scratch.w[: len(z)])
    stats.peak.copy_(z.amax(-1, keepdim=True))
    stats.logp.copy_(z.gather(-1, targets[:, None]) - stats.peak)
    y = z.sub_(stats.peak).clamp_(min=FLOOR)
    e = torch.exp(y, out=scratch.e[: len(z)])
    stats.total.copy_(e.sum(-1, keepdim=True))
    stats.logp.sub_(stats.total.log())
    stats.full_entropy.copy_(entropy_of(stats.total, torch.linalg.vecdot(e, y)[:, None]))
    write_cut(cut, stats)
    if w is None:
        stats.kept_total.copy_(stats.total)
        stats.entropy.copy_(stats.full_entropy)
        return
    e.mul_(w)
    stats.kept_total.copy_(e.sum(-1, keepdim=True))
    stats.entropy.copy_(entropy_of(stats.kept_total, torch.linalg.vecdot(e, y)[:, None]))


def write_cut(cut: Cut | None, stats: RowStats) -> None:
    """Fill the columns of the cut; a threshold of minus infinity keeps every token."""
    if cut is None:
        stats.threshold.fill_(-torch.inf)
        stats.share.fill_(1)
    else:
        stats.threshold.copy_(cut.threshold)
        stats.share.copy_(cut.share)


def differentiate_(
    z: Float[Tensor, "rows vocab"],
    kept: Float[Tensor, "rows 6"],
    grads: Float[Tensor, "rows 2"],
    scratch: Scratch,
    *,
    keeps_all: bool,
) -> None:
    """Turn the rows `z` into the gradient with respect to them, given those of (logp, entropy).

    The term of the target is missing: the caller adds the gradient of `logp` to the target's logit. Where
    the subset keeps every token (`keeps_all`), no weights are computed.
    """
    grad_logp, grad_entropy = grads.split(1, -1)
    row = Kept(*kept.split(1, -1))
    w = None if keeps_all else Cut(row.threshold, row.share).weights(z, scratch.w[: len(z)])
    y = z.sub_(row.peak).clamp_(min=FLOOR)
    e = torch.exp(y, out=scratch.e[: len(z)])
    g = y.add_(row.entropy - row.kept_total.log()).mul_(-grad_entropy / row.kept_total)
    if w is not None:
        g.mul_(w)
    g.sub_(grad_logp / row.total).mul_(e)


def slices(length: int, step: int) -> Iterator[slice]:
    """Split a number of rows into parts of `step`; the last may be shorter."""
    return (slice(i, min(i + step, length)) for i in range(0, length, step))


def entropy_of(total: Float[Tensor, "rows 1"], moment: Float[Tensor, "rows 1"]) -> Float[Tensor, "rows 1"]:
    """Return ``log Σ e - (Σ e y) / Σ e`` (nats), where ``e = w exp y``, from the two sums."""
    return (total.log() - moment / total).clamp_(min=0)
