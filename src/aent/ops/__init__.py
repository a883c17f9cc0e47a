"""From logits, or from hidden states and an output weight, to the statistics of each token."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from aent.errors import InputError, unknown
from aent.ops import chunked, reference
from aent.ops.stats import TokenStats
from aent.subsets import Full, Subset

__all__ = ["BACKENDS", "Backend", "TokenStats", "linear_token_stats", "token_stats"]


class Backend(NamedTuple):
    """The two doors of one way of computing."""

    token_stats: Callable[..., TokenStats]
    linear_token_stats: Callable[..., TokenStats]


BACKENDS = {
    "chunked": Backend(chunked.token_stats, chunked.linear_token_stats),
    "reference": Backend(reference.token_stats, reference.linear_token_stats),
}


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
    _require_floating("logits", logits)
    _require_positive("temperature", temperature)
    _require_targets(targets, "logits", logits, vocab=logits.shape[-1])
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
    _require_floating("hidden", hidden)
    _require_positive("temperature", temperature)
    if softcap is not None:
        _require_positive("softcap", softcap)
    with gather():
        _require_head(hidden, weight, bias)
        _require_targets(targets, "hidden", hidden, vocab=weight.shape[0])
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


def _require_floating(name: str, given: Tensor) -> None:
    if not given.is_floating_point():
        raise InputError(f"`{name}` is {given.dtype}; it must be a floating point tensor.")
    if given.ndim == 0 or given.shape[-1] == 0:
        raise InputError(f"`{name}` has shape {tuple(given.shape)}; its last dimension is empty.")


def _require_positive(name: str, given: float) -> None:
    if not (given > 0 and math.isfinite(given)):
        raise InputError(f"`{name}` is {given}; it must be finite and above 0.")


def _require_targets(targets: Tensor, name: str, beside: Tensor, *, vocab: int) -> None:
    if targets.shape != beside.shape[:-1]:
        raise InputError(
            f"`targets` has shape {tuple(targets.shape)}, `{name}` {tuple(beside.shape)};"
            f" `targets` must have the shape of `{name}` without its last dimension."
        )
    if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
        raise InputError(f"`targets` is {targets.dtype}; it must hold token ids (integers).")
    if not targets.numel():
        return
    low, high = torch.stack(targets.aminmax()).tolist()  # one small reduction, one synchronisation
    if low < 0 or high >= vocab:
        raise InputError(
            f"`targets` runs from {low} to {high}; token ids must lie in [0, {vocab})."
            " Put any valid id at padded positions and mask the results there."
        )


def _require_head(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    _require_floating("weight", weight)
    if weight.ndim != 2 or weight.shape[1] != hidden.shape[-1]:
        raise InputError(
            f"`weight` has shape {tuple(weight.shape)}, `hidden` {tuple(hidden.shape)};"
            " `weight` must be [vocab, dim] with the last dimension of `hidden`."
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise InputError(f"`bias` has shape {tuple(bias.shape)}; it must be [{weight.shape[0]}].")
    dtypes = {x.dtype for x in (hidden, weight, bias) if x is not None}
    if len(dtypes) > 1 and not torch.is_autocast_enabled(hidden.device.type):
        raise InputError(
            f"the dtypes of `hidden`, `weight` and `bias` are {sorted(map(str, dtypes))};"
            " outside autocast they must be one: convert, or enter torch.autocast."
        )
