"""Which tokens the entropy is taken over.

A subset says where each row of logits is cut. Tokens tied at the cut share the places left there
equally, so no result depends on the order of the tokens. No gradient flows through the choice.

A subset of your own is any object with the method `cut`. This one keeps every token at least a tenth
as probable as the best one::

    class MinP:
        def cut(self, logits):
            threshold = logits.amax(-1, keepdim=True) + math.log(0.1)
            return Cut(threshold, torch.ones_like(threshold))
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from aent.errors import InputError

_LONG, _STRIDE = 1 << 14, 64
"""Rows of at least `_LONG` tokens are sampled before selection: every `_STRIDE`-th token."""


class Cut(NamedTuple):
    """Where rows of logits are cut: a token weighs 1 above `threshold`, `share` at it, 0 below."""

    threshold: Float[Tensor, "rows 1"]
    """The smallest kept logit (for a subset of your own: any value)."""
    share: Float[Tensor, "rows 1"]
    """(places left at the threshold) / (tokens tied there), in (0, 1]."""

    def weights(
        self, logits: Float[Tensor, "rows vocab"], out: Float[Tensor, "rows vocab"] | None = None
    ) -> Float[Tensor, "rows vocab"]:
        """Return the weight of each token, as a number in the dtype of the logits; in `out` if given."""
        out = torch.empty_like(logits) if out is None else out  # many times faster on a CPU than masks
        torch.ge(logits, self.threshold, out=out)
        if (self.share < 1).any():
            above = torch.gt(logits, self.threshold, out=torch.empty_like(out))
            torch.lerp(above, out, self.share.to(out.dtype), out=out)
        return out


@runtime_checkable
class Subset(Protocol):
    """A choice of tokens: any object with this one method."""

    def cut(self, logits: Float[Tensor, "rows vocab"]) -> Cut | None:
        """Cut rows of logits, each finite or minus infinity and already divided by the temperature.

        Called without gradient, on float32 or float64, with some of the rows at a time, so cut each row
        independently of the others. Return None to keep every token of these rows.
        """
        ...


def cut_of(subset: Subset, logits: Float[Tensor, "rows vocab"]) -> Cut | None:
    """Cut rows of logits with a subset, and check the result, which may come from a user's own code.

    Raises:
        InputError: if `cut` returned neither None nor a `Cut` with one threshold and one share a row.
    """
    cut = subset.cut(logits)
    if cut is None:
        return None
    what = f"cut(logits) of {type(subset).__name__} returned"
    if not isinstance(cut, Cut):
        raise InputError(
            f"{what} a {type(cut).__name__}; return aent.subsets.Cut(threshold, share), or None to keep "
            "every token. Without ties, share is torch.ones_like(threshold)"
        )
    shape = (*logits.shape[:-1], 1)
    for name, values in zip(Cut._fields, cut, strict=True):
        if not isinstance(values, Tensor) or values.shape != shape:
            found = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise InputError(f"{what} a {name} of {found}; it must be a tensor of shape {shape}: one per row")
    return cut


class Rule(NamedTuple):
    """What a subset keeps of a vocabulary, in the terms that kernels know."""

    kind: Literal["all", "count", "mass", "own"]
    """Every token; the `kept` largest logits; the nucleus of `mass`; what the subset's own `cut` says."""
    kept: int = 0
    """Tokens kept, at least 1 and below the size of the vocabulary."""
    mass: float = 1.0
    """Probability kept, above 0 and below 1."""


def rule_of(subset: Subset, vocab: int) -> Rule:
    """Return what a subset keeps of `vocab` tokens.

    Only the four types below are known, not their subclasses, which may cut in their own way.
    """
    if type(subset) is Full:
        return Rule("all")
    if type(subset) is TopP:
        return Rule("all") if subset.mass == 1 else Rule("mass", mass=subset.mass)
    if type(subset) is Fraction or type(subset) is TopK:
        kept = subset.kept(vocab)
        return Rule("all") if kept >= vocab else Rule("count", kept)
    return Rule("own")


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

    def kept(self, vocab: int) -> int:
        """Return how many of `vocab` tokens are kept."""
        return vocab - int(self.drop * vocab)

    def cut(self, logits: Float[Tensor, "rows vocab"]) -> Cut | None:
        """Cut above the dropped tokens."""
        return _keep_largest(logits, self.kept(logits.shape[-1]))


@dataclass(frozen=True, kw_only=True)
class TopK:
    """The `k` most probable tokens; all of them when the vocabulary is no larger.

    Raises:
        InputError: unless `k` is a whole number >= 1.
    """

    k: int

    def __post_init__(self) -> None:
        if self.k != int(self.k) or self.k < 1:
            raise InputError(
                f"TopK(k={self.k}): `k` is the number of tokens kept, a whole number of at least 1."
            )

    def kept(self, vocab: int) -> int:
        """Return how many of `vocab` tokens are kept."""
        return min(int(self.k), vocab)

    def cut(self, logits: Float[Tensor, "rows vocab"]) -> Cut | None:
        """Cut below the `k`-th largest."""
        return _keep_largest(logits, self.kept(logits.shape[-1]))


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
        ordered = ascending(logits).flip(-1)
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
    """Return the k-th largest value, exactly, by the fastest of the ways we measured."""
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
    """Return the value that `below` others precede, selected between two bounds taken from a sample."""
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
    return np.partition(row, below)[below]  # near an end, or the sample was misleading


def ascending(logits: Float[Tensor, "rows vocab"]) -> Float[Tensor, "rows vocab"]:
    """Sort each row, the smallest first."""
    if logits.device.type == "cpu":
        return torch.from_numpy(np.sort(logits.numpy(), axis=-1))
    return logits.sort(-1).values
