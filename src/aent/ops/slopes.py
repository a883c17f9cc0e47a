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
from aent.ops.closed_form import slices
from aent.ops.doors import token_stats
from aent.ops.head import Head
from aent.subsets import Full, Subset

MOST = 4096
"""Rows that are measured, evenly spaced if there are more, because only their means are of interest."""
CHUNK = 1 << 20
"""Number of logits computed at a time."""
CHUNK_ROWS = 128
"""Fewest rows at a time: every product reads the whole weight."""


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
    with gather():
        require_head(hidden, weight, bias)  # under autocast, whose dtypes may differ
        require_targets(targets, "hidden", hidden, vocab=len(weight))
        with no_autocast(hidden):
            h, w, b = head.cast(hidden[::stride], weight, bias)
            step = max(1, min(len(h), max(CHUNK_ROWS, CHUNK // len(w))))
            buffer = h.new_empty(step, len(w))
            for rows in slices(len(h), step):
                z = head.logits_(buffer[: rows.stop - rows.start], h[rows], w, b)
                slopes[:, ::stride][:, rows] = _sums(z, head.scale_(z), targets[::stride][rows], subset)
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
    """Return the three slopes of each row of `z`, which is after softcap and temperature, and overwritten."""
    with torch.enable_grad():
        leaf = z.detach().requires_grad_()
        stats = token_stats(leaf, targets, subset=subset)
        (g,) = torch.autograd.grad(stats.entropy.sum(), leaf)
    at = targets.long()[:, None]
    p = z.sub_(z.gather(-1, at) - stats.logp.detach()[:, None]).exp_()
    if slope is not None:
        g, p = g.mul_(slope), p.mul_(slope)
    target = g.gather(-1, at)
    if slope is not None:
        target *= slope.gather(-1, at)
    return torch.stack([target[:, 0], torch.linalg.vecdot(p, g), torch.linalg.vecdot(g, g)])
