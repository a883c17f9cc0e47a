"""From logits, or from hidden states and an output weight, to the statistics of each token."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

from aent.errors import unknown
from aent.ops import chunked, native, reference, triton
from aent.ops.checks import require_floating, require_head, require_positive, require_targets
from aent.ops.stats import TokenStats
from aent.subsets import Full, Subset

__all__ = ["BACKENDS", "Backend", "TokenStats", "linear_token_stats", "token_stats"]


class Backend(NamedTuple):
    """The two doors of one way of computing."""

    token_stats: Callable[..., TokenStats]
    linear_token_stats: Callable[..., TokenStats]


BACKENDS: dict[str, Backend] = {
    "chunked": Backend(chunked.token_stats, chunked.linear_token_stats),
    "native": Backend(native.token_stats, native.linear_token_stats),
    "reference": Backend(reference.token_stats, reference.linear_token_stats),
    "triton": Backend(triton.token_stats, triton.linear_token_stats),
}
"""Ways of computing the same. "auto" takes ``chunked``, which runs anywhere; ``reference`` is the
obvious one; ``native`` wants numba and a CPU, ``triton`` an NVIDIA GPU (or Triton's interpreter)."""


def token_stats(
    logits: Float[Tensor, "*batch vocab"],
    targets: Int[Tensor, "*batch"],
    *,
    subset: Subset = Full(),
    temperature: float = 1.0,
    backend: str = "auto",
) -> TokenStats:
    """Compute log-probability and entropy (nats) of each token from logits.

    With z = logits / temperature and weights w of the subset (see `aent.subsets.Cut`):
    ``logp = z_t - log Σ exp z``, ``entropy = -Σ w q log q`` with ``q = exp z / Σ w exp z``.
    Clamped entropy: arXiv 2509.03493. Padded positions need a valid target too; mask their results.

    Raises:
        InputError: on shapes that do not fit, logits that are not floating point, targets outside
            the vocabulary, a temperature that is not positive, an unknown backend.
    """
    doors = _backend(backend)
    require_floating("logits", logits)
    require_positive("temperature", temperature)
    require_targets(targets, "logits", logits, vocab=logits.shape[-1])
    rows = logits.reshape(-1, logits.shape[-1])
    stats = doors.token_stats(rows, targets.reshape(-1).long(), subset, temperature)
    return TokenStats(*(x.view(targets.shape) for x in stats))


def linear_token_stats(
    hidden: Float[Tensor, "*batch dim"],
    weight: Float[Tensor, "vocab dim"],
    targets: Int[Tensor, "*batch"],
    *,
    bias: Float[Tensor, " vocab"] | None = None,
    subset: Subset = Full(),
    temperature: float = 1.0,
    softcap: float | None = None,
    backend: str = "auto",
    gather: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> TokenStats:
    """Compute `token_stats` (nats) of ``hidden @ weight.T + bias`` without holding all logits.

    `softcap` c replaces each logit z by ``c * tanh(z / c)`` before the temperature, as Gemma 2 does
    (arXiv 2408.00118). Products are taken in the dtype of `hidden` (under autocast in its dtype),
    the statistics in float32. `gather` makes a context that is entered around the uses of `weight`
    and `bias`, once in forward and once in backward: for output weights sharded over ranks.

    Raises:
        InputError: as `token_stats`; also if `hidden` and `weight` differ in dtype or width, or
            `softcap` is not positive.
    """
    doors = _backend(backend)
    require_floating("hidden", hidden)
    require_positive("temperature", temperature)
    if softcap is not None:
        require_positive("softcap", softcap)
    with gather():
        require_head(hidden, weight, bias)
        require_targets(targets, "hidden", hidden, vocab=weight.shape[0])
        rows = hidden.reshape(-1, hidden.shape[-1])
        stats = doors.linear_token_stats(
            rows, weight, bias, targets.reshape(-1).long(), subset, temperature, softcap, gather
        )
    return TokenStats(*(x.view(targets.shape) for x in stats))


def _backend(name: str) -> Backend:
    chosen = "chunked" if name == "auto" else name
    if chosen not in BACKENDS:
        raise unknown("backend", name, ["auto", *BACKENDS])
    return BACKENDS[chosen]
