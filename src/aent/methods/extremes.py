"""The most extreme tokens of a micro-batch on all ranks."""

import math

from jaxtyping import Bool, Float
from torch import Tensor

from aent.method import Tokens
from aent.ops.backend import statistics_dtype

QUANTILE_LIMIT = 1 << 24
"""How many values `torch.quantile` accepts."""


def at_most(share: float, total: int) -> int:
    """Return ``floor(share * total)``, but at least 1 for a share above 0."""
    return max(1, int(share * total)) if share else 0


def at_least(share: float, total: int) -> int:
    """Return ``ceil(share * total)``, forgiving rounding: 0.28 * 25 is a little more than 7 in doubles."""
    return math.ceil(share * total - 1e-9)


def largest(
    tokens: Tokens,
    scores: Float[Tensor, "batch tokens"],
    among: Bool[Tensor, "batch tokens"],
    count: int,
) -> Bool[Tensor, "batch tokens"]:
    """Return where the `count` largest scores of all ranks are, without those that tie at the cut."""
    scores = scores.to(statistics_dtype(scores))
    everywhere = tokens.gather(scores[among])
    if everywhere.numel() <= count:
        return among
    return among & (scores > everywhere.topk(count + 1).values[-1])


def largest_share(
    tokens: Tokens,
    scores: Float[Tensor, "batch tokens"],
    among: Bool[Tensor, "batch tokens"],
    share: float,
) -> Bool[Tensor, "batch tokens"]:
    """Return where the largest ``ceil(share * n)`` of the n scores of all ranks are, with all ties."""
    scores = scores.to(statistics_dtype(scores))
    everywhere = tokens.gather(scores[among])
    if everywhere.numel() == 0:
        return among
    count = at_least(share, everywhere.numel())
    return among & (scores >= everywhere.topk(count).values[-1])


def quantile(values: Float[Tensor, " n"], share: float) -> Float[Tensor, ""]:
    """Return a quantile, interpolated as by `torch.quantile`; of more values than it accepts, the next value.

    The same values are at or above either.
    """
    count = values.numel()
    if count <= QUANTILE_LIMIT:
        return values.quantile(share)
    return values.kthvalue(at_least(share, count - 1) + 1).values
