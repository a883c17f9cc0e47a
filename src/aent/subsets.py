"""Which tokens the entropy is taken over.

A subset says, for each row of logits, where the vocabulary is cut. Tokens tied at the cut share the
places that are left there equally, so that no result depends on the order of the tokens. The choice
is made without gradient.

A subset of your own is any object with the method `cut`. All tokens at least a tenth as probable as
the best one::

    class MinP:
        def cut(self, logits):
            threshold = logits.amax(-1, keepdim=True) + math.log(0.1)
            return Cut(threshold, torch.ones_like(threshold))
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from aent.errors import InputError

_LONG, _STRIDE = 1 << 14, 64
"""Tokens from which a row is sampled before selection, and the distance of those sampled."""


class Cut(NamedTuple):
    """Where rows of logits are cut: a token weighs 1 above `threshold`, `share` at it, 0 below."""

    threshold: Float[Tensor, "rows 1"]
    """The smallest kept logit (for a subset of your own: any value)."""
    share: Float[Tensor, "rows 1"]
    """(places left at the threshold) / (tokens tied there), in (0, 1]."""


@runtime_checkable
class Subset(Protocol):
    """A choice of tokens; any object with this one method will do."""

    def cut(self, logits: Float[Tensor, "rows vocab"]) -> Cut | None:
        """Cut rows of finite-or-minus-infinity logits, already divided by the temperature.

        Called without gradient, on float32 or float64, with some of the rows at a time: each row
        must be cut by itself. None keeps every token of these rows.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Full:
    """Every token: the ordinary entropy."""

    def cut(self, logits: Float[Tensor, "rows vocab"]) -> None:
        """Keep every token."""


@dataclass(frozen=True, kw_only=True)
class Fraction:
    """All but the ``int(drop * V)`` least probable of V tokens: A(s) of AEnt (arXiv 2509.03493).

    Raises:
        InputError: unless 0 <= `drop` < 1.
    """

    drop: float

    def __post_init__(self) -> None:
        if not 0 <= self.drop < 1:
            raise InputError(
                f"Fraction(drop={self.drop}): `drop` is the fraction of the vocabulary left out,"
                " at least 0 and below 1. To keep a number of tokens, use TopK(k=...)."
            )

    def cut(self, logits: Float[Tensor, "rows vocab"]) -> Cut | None:
        """Cut above the dropped tokens."""
        vocab = logits.shape[-1]
        return _keep_largest(logits, vocab - int(self.drop * vocab))


@dataclass(frozen=True, kw_only=True)
class TopK:
    """The `k` most probable tokens; all of them when the vocabulary is no larger.

    Raises:
        InputError: unless `k` is a whole number >= 1.
    """

    k: int

    def __post_init__(self) -> None:
        if self.k != int(self.k) or self.k < 1:
            raise InputError(f"TopK(k={self.k}): `k` is the number of tokens kept, at least 1.")

    def cut(self, logits: Float[Tensor, "rows vocab"]) -> Cut | None:
        """Cut below the `k`-th largest."""
        return _keep_largest(logits, self.k)


@dataclass(frozen=True, kw_only=True)
class TopP:
    """The fewest most probable tokens whose probability, at the temperature used, reaches `mass`.

    The nucleus of arXiv 1904.09751. Of tokens tied at the cut, as many are kept as `mass` needs.

    Raises:
        InputError: unless 0 < `mass` <= 1.
    """

    mass: float

    def __post_init__(self) -> None:
        if not 0 < self.mass <= 1:
            raise InputError(
                f"TopP(mass={self.mass}): `mass` is the probability kept, above 0 and at most 1."
            )

    def cut(self, logits: Float[Tensor, "rows vocab"]) -> Cut | None:
        """Cut where the probability of the sorted tokens first reaches `mass`."""
        if self.mass == 1:
            return None
        ordered = _sorted(logits).flip(-1)
        reached = ordered.softmax(-1, dtype=torch.float64).cumsum(-1)
        last = (reached < self.mass).sum(-1, keepdim=True).clamp_(max=logits.shape[-1] - 1)
        return _share(logits, ordered.gather(-1, last), last + 1)


def _keep_largest(logits: Float[Tensor, "rows vocab"], kept: int) -> Cut | None:
    if kept >= logits.shape[-1]:
        return None
    return _share(logits, _kth_largest(logits, kept), kept)


def _share(
    logits: Float[Tensor, "rows vocab"],
    threshold: Float[Tensor, "rows 1"],
    kept: int | Int[Tensor, "rows 1"],
) -> Cut:
    """Divide the places left at the threshold among the tokens tied there."""
    buffer = torch.empty_like(logits)  # counting numbers is several times faster than counting bools
    surplus = torch.ge(logits, threshold, out=buffer).sum(-1, keepdim=True) - kept
    if not surplus.any():
        return Cut(threshold, torch.ones_like(threshold))
    tied = torch.eq(logits, threshold, out=buffer).sum(-1, keepdim=True)
    return Cut(threshold, (tied - surplus) / tied)


def _kth_largest(logits: Float[Tensor, "rows vocab"], k: int) -> Float[Tensor, "rows 1"]:
    """Return the k-th largest value, exactly, by the fastest of the ways measured."""
    below = logits.shape[-1] - k
    if 64 * k <= logits.shape[-1]:
        return logits.topk(k, dim=-1, sorted=False).values.amin(-1, keepdim=True)
    if logits.device.type == "cpu":  # numpy selects two to ten times as fast as torch
        rows = logits.numpy()
        if logits.shape[-1] < _LONG:
            return torch.from_numpy(np.partition(rows, below, axis=-1)[:, [below]])
        return torch.from_numpy(np.array([_select(row, below) for row in rows], rows.dtype)[:, None])
    return logits.kthvalue(below + 1, dim=-1, keepdim=True).values


def _select(row: np.ndarray, below: int) -> np.floating:
    """Return the value that `below` others precede in order, from between two bounds of a sample."""
    sample = row[::_STRIDE].copy()
    rank = below / row.size * sample.size
    margin = 4 * math.sqrt(rank * (1 - below / row.size)) + 2  # four standard deviations
    first, last = int(rank - margin), int(rank + margin)
    if first >= 0 and last < sample.size:
        sample.partition((first, last))
        lower = row < sample[first]
        band = row[~(lower | (row > sample[last]))]
        place = below - np.count_nonzero(lower)
        if 0 <= place < band.size:
            return np.partition(band, place)[place]
    return np.partition(row, below)[below]  # near an end, or the sample misled


def _sorted(logits: Float[Tensor, "rows vocab"]) -> Float[Tensor, "rows vocab"]:
    if logits.device.type == "cpu":
        return torch.from_numpy(np.sort(logits.numpy(), axis=-1))
    return logits.sort(-1).values
