"""The plain formulas, differentiated by autograd in float64: what every other backend is checked against.

Only the cut is computed as in the other backends: on float32 unless the logits are float64. So the same
tokens are tied.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float, Int
from torch import Tensor

from aent.ops.backend import statistics_dtype
from aent.ops.checks import require_losses
from aent.ops.stats import TokenLoss, TokenStats
from aent.subsets import Subset, cut_of


def token_stats(
    logits: Float[Tensor, "rows vocab"],
    targets: Int[Tensor, " rows"],
    subset: Subset,
    temperature: float,
    overwrite: bool = False,
) -> TokenStats:
    """See `aent.ops.token_stats` (nats), which refuses `overwrite` for this backend."""
    assert not overwrite
    dtype = statistics_dtype(logits)
    scaled = logits.to(dtype) / temperature
    z = scaled.double()
    with torch.no_grad():
        full_entropy = _entropy(z, torch.ones_like(z))
        cut = cut_of(subset, scaled)
        weights = (torch.ones_like(scaled) if cut is None else cut.weights(scaled)).double()
    logp = z.log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    return TokenStats(*(x.to(dtype) for x in (logp, _entropy(z, weights), full_entropy)))


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
    """See `aent.ops.linear_token_stats` (nats).

    Called inside `gather`; backward is autograd's and does not enter it again.
    """
    logits = torch.nn.functional.linear(hidden, weight, bias)
    logits = logits.to(statistics_dtype(logits))
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    return token_stats(logits, targets, subset, temperature)


def linear_token_loss(
    hidden: Float[Tensor, "rows dim"],
    weight: Float[Tensor, "vocab dim"],
    bias: Float[Tensor, " vocab"] | None,
    targets: Int[Tensor, " rows"],
    subset: Subset,
    temperature: float,
    softcap: float | None,
    loss: Callable[..., Float[Tensor, " rows"]],
    columns: Sequence[Float[Tensor, " rows"]],
) -> TokenLoss:
    """See `aent.ops.linear_token_loss` (nats)."""
    stats = linear_token_stats(hidden, weight, bias, targets, subset, temperature, softcap, nullcontext)
    losses = loss(stats.logp, stats.entropy, *columns)
    require_losses(losses, stats.logp)
    return TokenLoss(losses.sum(), TokenStats(*(x.detach() for x in stats)))


def _entropy(z: Float[Tensor, "rows vocab"], weights: Float[Tensor, "rows vocab"]) -> Float[Tensor, " rows"]:
    """Return ``-Σ w q log q`` (nats) with ``q = exp z / Σ w exp z``."""
    present = (weights > 0) & (z > -torch.inf)  # masked before exp and log: 0 * log 0 = 0
    total = torch.where(present, z + weights.log(), -torch.inf).logsumexp(-1, keepdim=True)
    log_q = torch.where(present, z - total, 0.0)
    return -torch.where(present, weights * log_q.exp() * log_q, 0.0).sum(-1)
