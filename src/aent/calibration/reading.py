"""Readings of a policy's entropy: how high it is over a subset, and what moves it.

Every figure is a ratio of sums over the tokens of prompts, with a standard error over prompts: entropy,
probability left out, pull and push per token (see `aent.objective.first_order_effect`), and ``hold``, the
coefficient at which a bonus undoes what the policy gradient does to the entropy.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from aent.errors import InputError
from aent.ops import logit_slopes, token_stats
from aent.ops.backend import statistics_dtype
from aent.ops.slopes import CHUNK
from aent.statistics import Figure, ratio
from aent.subsets import Fraction, Full, Subset, TopK, TopP, cut_of

SUBSETS: Mapping[str, Subset] = {
    "full": Full(),
    "drop-33": Fraction(drop=0.33),
    "drop-50": Fraction(drop=0.5),
    "drop-90": Fraction(drop=0.9),
    "top-100": TopK(k=100),
    "top-20": TopK(k=20),
    "nucleus-99": TopP(mass=0.99),
    "nucleus-95": TopP(mass=0.95),
}
"""The subsets that are measured, by their names on the command line."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What rollouts say about one subset."""

    entropy: Figure
    """Clamped entropy, nats per token."""
    dropped: Figure
    """Probability outside the subset, per token."""
    pull: Figure
    """Change of the entropy by the policy gradient, in nats per token and per unit of step in the logits."""
    push: Figure
    """Change of the entropy by a bonus with coefficient 1, in the same unit."""
    hold: Figure
    """``-pull / push``, the coefficient that keeps the entropy where it is, to first order."""


def token_sums(
    logits: Float[Tensor, "rows vocab"],
    targets: Int[Tensor, " rows"],
    advantages: Float[Tensor, " rows"],
    subset: Subset,
    temperature: float = 1.0,
) -> Float[Tensor, "5"]:
    """Return sums over tokens: their number, entropy (nats), probability left out, pull and push.

    With g = dH/dz: ``pull = A (g_t - sum_j p_j g_j)``, ``push = sum_j g_j^2``.

    Source: as `aent.ops.entropy_slopes`.

    Raises:
        InputError: on shapes or dtypes that do not fit, or targets outside the vocabulary.
    """
    total = torch.zeros(5, dtype=torch.float64, device=logits.device)
    step = max(1, CHUNK // logits.shape[-1])
    for z, t, a in zip(logits.split(step), targets.split(step), advantages.split(step), strict=True):
        slopes = logit_slopes(z, t, subset=subset, temperature=temperature)
        columns = [
            torch.ones_like(slopes.mean),
            token_stats(z, t, subset=subset, temperature=temperature).entropy,
            _dropped(z.to(statistics_dtype(z)) / temperature, subset),
            a * (slopes.target - slopes.mean),
            slopes.square,
        ]
        total += torch.stack([x.double().sum() for x in columns])
    return total.cpu()


def _dropped(z: Float[Tensor, "rows vocab"], subset: Subset) -> Float[Tensor, " rows"]:
    cut = cut_of(subset, z)
    if cut is None:
        return z.new_zeros(len(z))
    return (z.softmax(-1) * (1 - cut.weights(z))).sum(-1)


def reading(sums: Float[Tensor, "prompts 5"]) -> Reading:
    """Return the figures that follow from the `token_sums` of each prompt.

    Raises:
        InputError: for fewer than two prompts, or if there is no entropy left to push.
    """
    if len(sums) < 2:
        raise InputError("one prompt has no standard error over prompts; sample at least 2")
    tokens, entropy, dropped, pull, push = sums.double().unbind(1)
    if push.sum() <= 0:
        raise InputError("the policy is certain of every token: there is no entropy to control")
    return Reading(
        entropy=ratio(entropy, tokens),
        dropped=ratio(dropped, tokens),
        pull=ratio(pull, tokens),
        push=ratio(push, tokens),
        hold=ratio(-pull, push),
    )
