"""From a few rollouts to the settings of a method: what entropy is, what moves it, and which band fits.

Every figure is a ratio of sums over the tokens of prompts, with a standard error over prompts: entropy,
probability left out, pull and push per token (see `aent.objective.first_order_effect`), and ``hold``, the
coefficient at which a bonus undoes what the policy gradient does to the entropy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from aent.errors import InputError
from aent.ops import logit_slopes, token_stats
from aent.ops.arithmetic import statistics_dtype
from aent.ops.rows import subset_weights
from aent.ops.slopes import CHUNK
from aent.subsets import Fraction, Full, Subset, TopK, TopP

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
"""The subsets that are measured, by the names they have on the command line."""


class Figure(NamedTuple):
    """A measured number."""

    value: float
    error: float
    """Standard error over prompts."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What rollouts tell about one subset."""

    entropy: Figure
    """Clamped entropy, nats per token."""
    dropped: Figure
    """Probability that the subset leaves out, per token."""
    pull: Figure
    """Change of the entropy by the policy gradient, nats per token and unit of step in the logits."""
    push: Figure
    """Change of it by a bonus with coefficient 1, in the same unit."""

    hold: Figure
    """``-pull / push``, the coefficient that keeps the entropy where it is, to first order."""


def group_advantages(rewards: Float[Tensor, "groups size"]) -> Float[Tensor, "groups size"]:
    """GRPO's advantages: ``(r - mean) / (std + 1e-4)`` of each group; NaN rewards are left out, and get 0.

    Source: DeepSeekMath (arXiv 2402.03300), with the unbiased deviation and the 1e-4 of TRL.
    """
    centred = rewards - rewards.nanmean(1, keepdim=True)
    scored = (~rewards.isnan()).sum(1, keepdim=True)
    variance = centred.square().nansum(1, keepdim=True) / (scored - 1).clamp(min=1)
    return (centred / (variance.sqrt() + 1e-4)).nan_to_num(0.0)


def token_sums(
    logits: Float[Tensor, "rows vocab"],
    targets: Int[Tensor, " rows"],
    advantages: Float[Tensor, " rows"],
    subset: Subset,
    temperature: float = 1.0,
) -> Float[Tensor, "5"]:
    """Sum over tokens: how many, entropy (nats), probability left out, pull and push.

    With g = dH/dz: ``pull = A (g_t - sum_j p_j g_j)``, ``push = sum_j g_j^2``.

    Source: as `aent.ops.entropy_slopes`.

    Raises:
        InputError: on shapes or dtypes that do not fit, or targets outside the vocabulary.
    """
    total = torch.zeros(5, dtype=torch.float64, device=logits.device)
    step = max(1, CHUNK // logits.shape[-1])
    for z, t, a in zip(logits.split(step), targets.split(step), advantages.split(step), strict=True):
        slopes = logit_slopes(z, t, subset=subset, temperature=temperature)
        made = [
            torch.ones_like(slopes.mean),
            token_stats(z, t, subset=subset, temperature=temperature).entropy,
            _dropped(z.to(statistics_dtype(z)) / temperature, subset),
            a * (slopes.target - slopes.mean),
            slopes.square,
        ]
        total += torch.stack([x.double().sum() for x in made])
    return total.cpu()


def _dropped(z: Float[Tensor, "rows vocab"], subset: Subset) -> Float[Tensor, " rows"]:
    cut = subset.cut(z)
    if cut is None:
        return z.new_zeros(len(z))
    weights = subset_weights(z, cut, torch.empty_like(z))
    return (z.softmax(-1) * (1 - weights)).sum(-1)


def reading(sums: Float[Tensor, "prompts 5"]) -> Reading:
    """Turn the `token_sums` of each prompt into figures.

    Raises:
        InputError: from fewer than two prompts, or where no entropy is left to push.
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


def ratio(above: Float[Tensor, " n"], below: Float[Tensor, " n"]) -> Figure:
    """``sum a / sum b`` with its standard error over n prompts, to first order.

    ``error^2 = n / (n - 1) sum_i (a_i - ratio b_i)^2 / (sum b)^2``

    Source: the ratio estimator of survey sampling (Cochran, Sampling Techniques, chapter 6).
    """
    value = above.sum() / below.sum()
    scatter = (above - value * below).square().sum() * len(above) / (len(above) - 1)
    return Figure(float(value), float(scatter.sqrt() / below.sum()))


LOW, HIGH = 0.65, 1.0
"""Edges of the band over the measured entropy. Not above it: a bonus pushes harder the higher the entropy
is, so that a coefficient which is a little too large runs away upwards, while downwards the policy gradient
pulls less and less and the entropy settles by itself."""
FLOOR, START, CEILING = 0.1, 0.35, 0.55
"""The coefficient's least, first and greatest value over `Reading.hold`. Below it, as the entropy is let down
into its band."""
TENTH = 10
"""Updates in which an entropy a tenth of itself outside the band moves the coefficient across its box: about
the memory of Adam, as a faster coefficient would answer to its own last answer."""
SURE = 2.0
"""Standard errors that `Reading.hold` must be above 0."""


def aent_block(measured: Reading, subset: Subset) -> dict[str, Any]:
    """Return the settings of the method `aent` for a policy with these readings of a subset.

    With H the entropy and h = hold: ``low, high = 0.65 H, H``, ``coef_min, coef, coef_max = 0.1 h, 0.35 h,
    0.55 h``, ``lr = (coef_max - coef_min) / H``; no warm-up.

    Source: ours; the shares were chosen on countdown, seeds 100 and 101 (docs/calibrate.md).

    Raises:
        InputError: where hold is not above 0 by two standard errors, as then no size of the coefficient
            follows.
    """
    hold, entropy = measured.hold, measured.entropy.value
    if measured.pull == (0, 0):
        raise InputError(
            "no block: in every group all rewards are equal, so the policy gradient is 0 and its pull "
            "unknown. Take more --prompts or --samples, or a task that the policy solves sometimes"
        )
    if hold.value <= SURE * hold.error:
        raise InputError(
            f"no block: hold = {hold.value:.3g} ± {hold.error:.2g} is not clearly above 0, so the policy "
            "gradient is not known to lower the entropy. Take more --prompts, or the method aent-auto"
        )
    box = (CEILING - FLOOR) * hold.value
    numbers = {
        "coef": START * hold.value,
        "low": LOW * entropy,
        "high": HIGH * entropy,
        "lr": box / (TENTH * 0.1 * entropy),
        "coef_min": FLOOR * hold.value,
        "coef_max": CEILING * hold.value,
    }
    rounded = {name: float(f"{number:.3g}") for name, number in numbers.items()}
    return {"name": "aent", **_named(subset), **rounded, "warmup": 0}


def _named(subset: Subset) -> dict[str, Any]:
    if isinstance(subset, Fraction):
        return {"drop": subset.drop}
    return {"subset": {"name": type(subset).__name__, **vars(subset)}}
