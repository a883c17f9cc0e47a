"""Readings of a policy's entropy: how high it is over a subset, and what moves it.

Every figure is a ratio of sums over the tokens of prompts, with a standard error over prompts: entropy,
probability left out, pull and push per token (see `aent.objective.first_order_effect`), and ``hold``, the
coefficient at which a bonus undoes what the policy gradient does to the entropy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from aent.errors import InputError
from aent.ops.backend import statistics_dtype
from aent.ops.checks import require_floating, require_targets
from aent.ops.closed_form import FLOOR
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
    size: float
    """Root mean square over tokens of the policy gradient's length in the logits; any subset has the same."""
    prompts: int


def token_terms(
    logits: Float[Tensor, "rows vocab"],
    targets: Int[Tensor, " rows"],
    subsets: Sequence[Subset],
    temperature: float = 1.0,
) -> Float[Tensor, "rows subsets 6"]:
    """Return for every token and subset what a reading adds up, as if all advantages were 1.

    That is 1, the entropy (nats), the probability left out, pull, push, and the squared size of the policy
    gradient. With g = dH/dz: ``pull = g_t - sum_j p_j g_j``, ``push = sum_j g_j^2`` and ``size^2 = sum_j
    ([j = t] - p_j)^2``. Each subset is cut once.

    Source: as `aent.ops.entropy_slopes`.

    Raises:
        InputError: on shapes or dtypes that do not fit, or targets outside the vocabulary.
    """
    require_floating("logits", logits)
    require_targets(targets, "logits", logits, vocab=logits.shape[-1])
    step = max(1, CHUNK // logits.shape[-1])
    parts = [
        _chunk(z.to(statistics_dtype(z)) / temperature, t[:, None], subsets)
        for z, t in zip(logits.split(step), targets.split(step), strict=True)
    ]
    return torch.cat(parts).cpu()


def weighted(
    sums: Float[Tensor, "*answers 6"], advantages: Float[Tensor, "*answers"]
) -> Float[Tensor, "*answers 6"]:
    """Return sums of `token_terms` for the advantages that their tokens really have."""
    a = advantages.to(sums)
    one = torch.ones_like(a)
    return sums * torch.stack([one, one, one, a, one, a.square()], -1)


def _chunk(
    z: Float[Tensor, "rows vocab"], targets: Int[Tensor, "rows 1"], subsets: Sequence[Subset]
) -> Float[Tensor, "rows subsets 6"]:
    """Return the terms of `token_terms` for a few rows of logits divided by the temperature."""
    y = (z - z.amax(-1, keepdim=True)).clamp_(min=FLOOR)
    e = y.exp()
    whole = e.sum(-1, keepdim=True)
    p = e / whole
    size = 1 - 2 * p.gather(-1, targets)[:, 0] + p.square().sum(-1)
    of_subsets = []
    for subset in subsets:
        cut = cut_of(subset, z)
        kept = e if cut is None else e * cut.weights(z)
        mass = kept.sum(-1, keepdim=True)
        log_q = y - mass.log()
        q = kept.div_(mass) if kept is not e else e / mass
        entropy = -(q * log_q).sum(-1)
        g = log_q.add_(entropy[:, None]).mul_(q).neg_()
        slope = g.gather(-1, targets)[:, 0] - (p * g).sum(-1)
        left_out = (1 - (mass / whole)[:, 0]).clamp(min=0) if cut is not None else torch.zeros_like(entropy)
        columns = torch.ones_like(entropy), entropy, left_out, slope, g.square().sum(-1), size
        of_subsets.append(torch.stack(columns, -1).double())
    return torch.stack(of_subsets, 1)


def reading(sums: Float[Tensor, "prompts 6"]) -> Reading:
    """Return the figures that follow from the sums of each prompt (`weighted`).

    Raises:
        InputError: for fewer than two prompts, or if there is no entropy left to push.
    """
    if len(sums) < 2:
        raise InputError("one prompt has no standard error over prompts; sample at least 2")
    tokens, entropy, dropped, pull, push, size = sums.double().unbind(1)
    if push.sum() <= 0:
        raise InputError("the policy is certain of every token: there is no entropy to control")
    return Reading(
        entropy=ratio(entropy, tokens),
        dropped=ratio(dropped, tokens),
        pull=ratio(pull, tokens),
        push=ratio(push, tokens),
        hold=ratio(-pull, push),
        size=(size.sum() / tokens.sum()).sqrt().item(),
        prompts=len(sums),
    )
