"""How the entropy of a token's distribution depends on its logits: what a controller needs to look ahead."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from aent.ops.autograd import no_autocast
from aent.ops.backend import statistics_dtype
from aent.ops.checks import require_floating, require_head, require_positive, require_targets
from aent.ops.closed_form import FLOOR, slices
from aent.ops.head import Head
from aent.subsets import Full, Subset, cut_of

MOST = 4096
"""Rows that are measured, evenly spaced if there are more, because only their means are of interest."""
CHUNK = 1 << 20
"""Number of logits computed at a time."""


class EntropySlopes(NamedTuple):
    """Sums over the vocabulary of the entropy's gradient g = dH/dz (nats per unit of logit), per token.

    All are 0 for the rows that were not measured.
    """

    target: Float[Tensor, "*batch"]
    """g_t, at the token itself."""
    mean: Float[Tensor, "*batch"]
    """Σ_j p_j g_j, under the whole policy p."""
    square: Float[Tensor, "*batch"]
    """Σ_j g_j^2."""


@torch.no_grad()
def entropy_slopes(
    hidden: Float[Tensor, "rows dim"],
    weight: Float[Tensor, "vocab dim"],
    targets: Int[Tensor, " rows"],
    *,
    bias: Float[Tensor, " vocab"] | None = None,
    subset: Subset = Full(),
    temperature: float = 1.0,
    softcap: float | None = None,
    gather: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> EntropySlopes:
    """Measure the slopes of the (clamped) entropy of at most `MOST` rows, evenly spaced.

    Let q be the policy renormalized on the subset with weights w, z the logits after the temperature, and H
    in nats. Then ``g_j = dH/dz_j = -w_j q_j (log q_j + H)``. A softcap enters as the squared derivative of
    ``c tanh(z / c)``, because both of the compared changes of the logits pass through it.

    A policy-gradient step on one token with advantage A moves the logits along ``A ([j = t] - p_j)``. To
    first order it changes the entropy by ``A (target - mean)``. A step along the entropy's own gradient
    changes it by ``square``.

    Source: the derivatives are those of the clamped entropy of arXiv 2509.03493; comparing the two steps is
    ours.

    Raises:
        InputError: on shapes or dtypes that do not fit, targets outside the vocabulary, or a temperature or
            softcap that is not positive.
    """
    require_positive("temperature", temperature)
    if softcap is not None:
        require_positive("softcap", softcap)
    head = Head(statistics_dtype(hidden), temperature, softcap)
    stride = max(1, -(-len(hidden) // MOST))
    slopes = hidden.new_zeros(3, len(hidden), dtype=head.dtype)
    with gather(), no_autocast(hidden):
        require_head(hidden, weight, bias)
        require_targets(targets, "hidden", hidden, vocab=len(weight))
        w, b = (None if x is None else x.to(head.dtype) for x in (weight, bias))
        for rows in slices(len(hidden[::stride]), max(1, CHUNK // len(weight))):
            h, t = hidden[::stride][rows], targets[::stride][rows]
            z = torch.nn.functional.linear(h.to(head.dtype), w, b)  # type: ignore[arg-type]
            slopes[:, ::stride][:, rows] = _sums(z, head.scale_(z), t, subset)
    return EntropySlopes(*slopes)


@torch.no_grad()
def logit_slopes(
    logits: Float[Tensor, "*batch vocab"],
    targets: Int[Tensor, "*batch"],
    *,
    subset: Subset = Full(),
    temperature: float = 1.0,
) -> EntropySlopes:
    """Measure the same as `entropy_slopes` for existing logits, on all of their tokens.

    A softcap that was applied to the logits is ignored: both steps are then taken after it.

    Raises:
        InputError: on logits that are not floating point, targets that do not fit them, or a temperature that
            is not positive.
    """
    require_floating("logits", logits)
    require_positive("temperature", temperature)
    require_targets(targets, "logits", logits, vocab=logits.shape[-1])
    z = logits.reshape(-1, logits.shape[-1]).to(statistics_dtype(logits)) / temperature
    slopes = _sums(z, None, targets.reshape(-1), subset)
    return EntropySlopes(*(x.view(targets.shape) for x in slopes))


def _sums(z: Tensor, slope: Tensor | None, targets: Tensor, subset: Subset) -> Float[Tensor, "3 rows"]:
    cut = cut_of(subset, z)
    y = (z - z.amax(-1, keepdim=True)).clamp_(min=FLOOR)
    e = y.exp()
    p = e / e.sum(-1, keepdim=True)
    if cut is not None:
        e *= cut.weights(z)
    total = e.sum(-1, keepdim=True)
    q, log_q = e / total, y - total.log()
    g = -q * (log_q - (q * log_q).sum(-1, keepdim=True))
    if slope is not None:
        g, p = g * slope, p * slope
    at = g.gather(-1, targets[:, None])[:, 0]
    if slope is not None:
        at = at * slope.gather(-1, targets[:, None])[:, 0]
    return torch.stack([at, (p * g).sum(-1), g.square().sum(-1)])
