"""From a reading to the settings of the method `aent`."""

import math
from typing import Any

from aent.calibration.reading import Reading
from aent.errors import InputError
from aent.spec import kebab_case
from aent.subsets import Fraction, Subset

LOW, HIGH = 0.65, 1.0
"""Edges of the band, as multiples of the measured entropy. The band does not go above it: the higher the
entropy, the harder a bonus pushes, so a coefficient that is a little too large makes the entropy run away
upwards. Downwards, the policy gradient pulls less and less, and the entropy settles by itself."""

FLOOR, START, CEILING = 0.1, 0.35, 0.55
"""The smallest, first and largest value of the coefficient, as multiples of `Reading.hold`. All are below 1,
because the entropy is meant to fall into its band."""

TENTH = 10
"""Updates needed to cross the coefficient's full range when the entropy is 10 % outside the band. This is
about the memory of Adam; a faster coefficient would react to its own last move."""

SURE = 2.0
"""How many standard errors `Reading.hold` must lie above 0."""


def aent_block(reading: Reading, subset: Subset) -> dict[str, Any]:
    """Return settings of the method `aent` for a policy that has these readings of a subset.

    With H the entropy and h = hold: ``low, high = 0.65 H, H``, ``coef_min, coef, coef_max = 0.1 h, 0.35 h,
    0.55 h``, ``lr = (coef_max - coef_min) / H``; no warm-up.

    Source: ours; the shares were chosen on countdown, seeds 100 and 101 (docs/calibrate.md).

    Raises:
        InputError: if hold is not above 0 by two standard errors, because then no size of the coefficient
            follows.
    """
    hold, entropy = reading.hold, reading.entropy.value
    if reading.pull == (0, 0):
        raise InputError(
            "not yet, because in every group all rewards are equal, so the policy gradient is 0 and its pull "
            "unknown. Use more --prompts or --samples, or a task that the policy sometimes solves"
        )
    if hold.value <= SURE * hold.error:
        raise InputError(
            f"not yet, because hold = {hold.value:.3g} ± {hold.error:.2g} is not clearly above 0, so the "
            f"policy gradient is not known to lower the entropy.{_settled_by(reading)} The method aent-auto "
            "needs no calibration: --method aent-auto"
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


def _settled_by(reading: Reading) -> str:
    """Say how many prompts would settle a hold that is above 0, if it is what it seems."""
    value, error = reading.hold
    if value <= 0 or error == 0:
        return " With more --prompts the sign may change."
    needed = math.ceil(reading.prompts * (SURE * error / value) ** 2 * 1.1)
    return f" If it is what it seems, --prompts {needed} would settle it."


def _named(subset: Subset) -> dict[str, Any]:
    if isinstance(subset, Fraction):
        return {"drop": subset.drop}
    return {"subset": {"name": kebab_case(type(subset).__name__), **vars(subset)}}
