"""The arithmetic of a block of rows, in place: statistics, and the gradient in closed form.

With y = z - max z, e = exp y, weights w of the subset, S = Σ e, A = Σ w e and the clamped entropy
H = log A - (Σ w e y) / A:

    d logp / dz_j = [j = t] - e_j / S            d H / dz_j = -w_j (e_j / A) (y_j - log A + H)

Weights are kept as floating point numbers: on a CPU that is many times faster than masks.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from aent.subsets import Cut, Subset

# exp of it is 0 even in float64, and 0 times it is 0: it stands in for -inf
_FLOOR = -1e4


class RowStats(NamedTuple):
    """What is kept of each row between forward and backward: eight numbers."""

    logp: Float[Tensor, "rows 1"]
    entropy: Float[Tensor, "rows 1"]
    full_entropy: Float[Tensor, "rows 1"]
    peak: Float[Tensor, "rows 1"]
    total: Float[Tensor, "rows 1"]
    kept_total: Float[Tensor, "rows 1"]
    threshold: Float[Tensor, "rows 1"]
    share: Float[Tensor, "rows 1"]


class Scratch(NamedTuple):
    """Room for two blocks, used again for every one."""

    e: Float[Tensor, "rows vocab"]
    w: Float[Tensor, "rows vocab"]


def measure_(
    z: Float[Tensor, "rows vocab"],
    targets: Int[Tensor, " rows"],
    subset: Subset,
    scratch: Scratch,
    out: Float[Tensor, "rows 8"],
) -> bool:
    """Fill `out` with the statistics of the rows `z` (temperature-scaled); overwrites `z`.

    Returns whether the subset cut anything off.
    """
    stats = RowStats(*out.split(1, -1))
    cut = subset.cut(z)
    w = None if cut is None else _weights(z, cut, scratch.w[: len(z)])
    stats.peak.copy_(z.amax(-1, keepdim=True))
    stats.logp.copy_(z.gather(-1, targets[:, None]) - stats.peak)
    y = z.sub_(stats.peak).clamp_(min=_FLOOR)
    e = torch.exp(y, out=scratch.e[: len(z)])
    stats.total.copy_(e.sum(-1, keepdim=True))
    stats.logp.sub_(stats.total.log())
    stats.full_entropy.copy_(_entropy(e, y, stats.total))
    if cut is None or w is None:
        stats.kept_total.copy_(stats.total)
        stats.entropy.copy_(stats.full_entropy)
        stats.threshold.fill_(-torch.inf)
        stats.share.fill_(1)
        return False
    e.mul_(w)
    stats.kept_total.copy_(e.sum(-1, keepdim=True))
    stats.entropy.copy_(_entropy(e, y, stats.kept_total))
    stats.threshold.copy_(cut.threshold)
    stats.share.copy_(cut.share)
    return True


def differentiate_(
    z: Float[Tensor, "rows vocab"],
    targets: Int[Tensor, " rows"],
    saved: Float[Tensor, "rows 8"],
    grads: Float[Tensor, "rows 2"],
    scratch: Scratch,
    clamped: bool,
) -> None:
    """Turn the rows `z` into the gradient with respect to them, given those of (logp, entropy)."""
    grad_logp, grad_entropy = grads.split(1, -1)
    stats = RowStats(*saved.split(1, -1))
    cut = Cut(stats.threshold, stats.share)
    w = _weights(z, cut, scratch.w[: len(z)]) if clamped else None
    y = z.sub_(stats.peak).clamp_(min=_FLOOR)
    e = torch.exp(y, out=scratch.e[: len(z)])
    g = y.add_(stats.entropy - stats.kept_total.log()).mul_(-grad_entropy / stats.kept_total)
    if w is not None:
        g.mul_(w)
    g.sub_(grad_logp / stats.total).mul_(e)
    g.scatter_add_(-1, targets[:, None], grad_logp)


def _entropy(e: Tensor, y: Tensor, total: Tensor) -> Tensor:
    return (total.log() - torch.linalg.vecdot(e, y)[:, None] / total).clamp_(min=0)


def _weights(z: Tensor, cut: Cut, out: Tensor) -> Tensor:
    torch.ge(z, cut.threshold, out=out)
    if (cut.share < 1).any():
        above = torch.gt(z, cut.threshold, out=torch.empty_like(out))
        torch.lerp(above, out, cut.share, out=out)
    return out
