"""How entropy and reward moved, and what one has to do with the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log

import numpy as np

from aent.diagnosis.fits import Line, fit_line, interval
from aent.logs.names import Row
from aent.report.figure import Series, series
from aent.statistics import Estimate

LEAST = 8
"""Logged rows that a rate or a fit needs."""
GONE = 0.05
"""Share of the entropy at the start below which it counts as gone."""
COLLAPSED, FELL, LOWER, HIGHER, EXPLODED = 0.2, 0.5, 0.9, 1.1, 1.5
"""Bounds of the last over the first entropy. Between `LOWER` and `HIGHER` it counts as steady."""
STILL = 0.1
"""Relative range of the entropy below which nothing can be learnt from it about the reward."""


@dataclass(frozen=True, kw_only=True)
class Movement:
    """A quantity over a run; `start` and `end` are means over the first and last tenth, 3 rows at least."""

    start: float
    end: float
    steps: tuple[float, float]
    rows: int
    late: Line | None
    """The trend of the last half, per step: of the logarithm for the entropy. None with too few rows."""

    @property
    def direction(self) -> int:
        """1 or -1 if the trend of the last half is clear at 95 %, else 0."""
        if self.late is None:
            return 0
        _, low, high = self.late.slope_estimate
        return int(low > 0) - int(high < 0)


@dataclass(frozen=True, kw_only=True)
class EntropyMovement(Movement):
    """The entropy over a run, nats per token."""

    half_step: float | None
    """The step from which three logged rows in a row are below half of the start; None if there is none."""

    @property
    def ratio(self) -> float:
        """The entropy that is left, as a share of the start; of a start at 0, infinity if it grew, else 1."""
        if self.start > 0:
            return self.end / self.start
        return inf if self.end > self.start else 1.0

    @property
    def state(self) -> str:
        """``collapsed``, ``falling``, ``fell``, ``steady``, ``rose``, ``rising`` or ``exploded``."""
        if self.ratio < COLLAPSED:
            return "collapsed"
        if self.ratio > EXPLODED:
            return "exploded"
        if self.ratio < LOWER:
            return "falling" if self.direction < 0 else "fell"
        if self.ratio > HIGHER:
            return "rising" if self.direction > 0 else "rose"
        return "steady"

    @property
    def halving(self) -> Estimate | None:
        """Steps in which the entropy halves at the rate of the last half; None unless it clearly falls."""
        if self.late is None or self.direction >= 0:
            return None
        value, low, high = self.late.slope_estimate
        return Estimate(log(0.5) / value, log(0.5) / low, log(0.5) / high)

    @property
    def gone_at(self) -> Estimate | None:
        """The step at which `GONE` of the start is left at this rate.

        None unless the entropy clearly falls, and if it was 0 at the start, of which no share is left.
        ``t = (log(GONE H_0) - c) / k`` for the line ``log H = c + k t`` through the last half.
        """
        if self.late is None or self.direction >= 0 or not self.start > 0:
            return None
        goal, line = log(GONE * self.start), self.late
        falling = np.minimum(line.slopes, -1e-12)
        return interval((goal - line.intercept) / line.slope, (goal - line.intercepts) / falling)


@dataclass(frozen=True, kw_only=True)
class Trade:
    """The reward as a function of the entropy, ``R = b - a exp(H)`` over the logged steps.

    Source: arXiv 2505.22617, which fits the validation score; a log mostly has the training reward only.
    """

    a: Estimate
    b: Estimate
    r2: float
    rows: int
    left: Estimate
    """What the fit promises if the rest of the entropy goes: ``a (exp(H_end) - 1)``."""

    @property
    def pays(self) -> bool | None:
        """Whether reward grows as entropy falls, at 95 %; None if the data do not say."""
        if self.a.low > 0:
            return True
        return False if self.a.high < 0 else None


def entropy_movement(rows: Sequence[Row]) -> EntropyMovement | None:
    """Return how the entropy moved; None with fewer than three finite values."""
    data = finite(series(rows, "entropy"))
    if len(data.steps) < 3:
        return None
    late = _late(Series(data.steps, np.log(np.maximum(data.values, 1e-9))))
    start, end = _ends(data.values)
    return EntropyMovement(
        start=start, end=end, steps=_span(data), rows=len(data.steps), late=late,
        half_step=_half_step(data, start),
    )  # fmt: skip


def movement(rows: Sequence[Row], key: str) -> Movement | None:
    """Return how another quantity moved; None with fewer than three finite values."""
    data = finite(series(rows, key))
    if len(data.steps) < 3:
        return None
    start, end = _ends(data.values)
    return Movement(start=start, end=end, steps=_span(data), rows=len(data.steps), late=_late(data))


def trade(rows: Sequence[Row]) -> Trade | None:
    """Fit reward to entropy.

    None with fewer than `LEAST` rows that have both, if the entropy hardly moved, or if the reward did not.
    """
    both = [row for row in rows if "entropy" in row and "reward" in row]
    entropy, reward = (series(both, key).values for key in ("entropy", "reward"))
    kept = np.isfinite(entropy) & np.isfinite(reward)
    entropy, reward = entropy[kept], reward[kept]
    if len(entropy) < LEAST:
        return None
    low, high = np.quantile(entropy, [0.1, 0.9])
    if high - low < STILL * max(high, 1e-9) or np.ptp(reward) <= 1e-9 * np.abs(reward).max():
        return None  # a slope of a constant reward is rounding
    line = fit_line(np.exp(entropy), reward)
    rest = np.exp(_ends(entropy)[1]) - 1
    return Trade(
        a=interval(-line.slope, -line.slopes),
        b=interval(line.intercept, line.intercepts),
        r2=line.r2,
        rows=len(entropy),
        left=interval(-line.slope * rest, -line.slopes * rest),
    )


def finite(data: Series) -> Series:
    """Return the finite values of a series."""
    kept = np.isfinite(data.values)
    return Series(data.steps[kept], data.values[kept])


def _ends(values: np.ndarray) -> tuple[float, float]:
    size = min(max(3, len(values) // 10), len(values))
    return float(values[:size].mean()), float(values[-size:].mean())


def _span(data: Series) -> tuple[float, float]:
    return float(data.steps[0]), float(data.steps[-1])


def _late(data: Series) -> Line | None:
    half = len(data.steps) // 2
    if len(data.steps) - half < LEAST:
        return None
    return fit_line(data.steps[half:], data.values[half:])


def _half_step(data: Series, start: float) -> float | None:
    below = data.values < 0.5 * start
    three = below[:-2] & below[1:-1] & below[2:]
    return float(data.steps[np.argmax(three)]) if three.any() else None
