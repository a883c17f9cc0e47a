"""What the readings of a policy say in words: which subset clamps anything, and what a coefficient moves."""

from collections.abc import Mapping

from aent.calibration.reading import Reading

BITES = 0.01
"""A subset clamps something if its entropy differs from the full one by this share."""

PUBLISHED = (6e-4, 2e-3, 9e-3)
"""Smallest, first and largest coefficient of AEnt on MATH (arXiv 2509.03493; recipe paper-math)."""

NOTICED = 0.05
"""A bonus is noticed if it changes the entropy by this share of what the policy gradient does."""


def verdict(readings: Mapping[str, Reading], subset: str) -> list[str]:
    """Return two paragraphs: what the subset clamps, and what the published coefficients move with it."""
    return [_clamping(readings, subset), _coefficients(readings[subset])]


def bites(readings: Mapping[str, Reading], subset: str) -> bool:
    """Whether the entropy over a subset differs from the full entropy by at least `BITES` of it."""
    full = readings["full"].entropy.value
    return abs(readings[subset].entropy.value - full) >= BITES * full


def _clamping(readings: Mapping[str, Reading], subset: str) -> str:
    reading, full = readings[subset], readings["full"]
    apart = abs(full.entropy.value - reading.entropy.value)
    start = (
        f"{subset} leaves out {100 * reading.dropped.value:.2g} % of the probability; its entropy is "
        f"{apart:.2g} nats from the full one."
    )
    if subset == "full" or bites(readings, subset):
        return start + "\n"
    others = [name for name in readings if bites(readings, name)]
    advice = f"Those that clamp: {', '.join(others)} (--subset {others[0]})." if others else "None here does."
    return f"{start} It clamps next to nothing on this policy. {advice}\n"


def _coefficients(reading: Reading) -> str:
    low, first, high = PUBLISHED
    pull, push = reading.pull, reading.push.value
    if pull == (0, 0):
        return "All rewards are equal within every group, so there is no policy gradient to compare with.\n"
    certain = abs(pull.value) > 2 * pull.error
    against = abs(pull.value) if certain else abs(pull.value) + 2 * pull.error
    shares = [100 * c * push / against for c in (low, first, high)]
    sizes = [100 * c * push**0.5 / reading.size for c in (low, first, high)]
    what = (
        "of the pull" if certain else "of the most that the pull may be (it is not clearly different from 0)"
    )
    moved = "moves" if shares[-1] >= 100 * NOTICED else "moves nothing that would be noticed"
    judged = (
        f"The paper's coefficient {moved} here: {first:g} changes the entropy by {_two(shares[1])} % {what}, "
        f"its range {low:g} to {high:g} by {_two(shares[0])} to {_two(shares[2])} %."
    )
    return (
        f"{judged} As gradients in the logits, these bonuses have {_two(sizes[0])}, {_two(sizes[1])} and "
        f"{_two(sizes[2])} % of the length of the policy gradient.\n"
    )


def _two(number: float) -> str:
    """Return a number with two digits, without an exponent where it is large."""
    return f"{float(f'{number:.2g}'):g}"
