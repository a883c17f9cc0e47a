"""Straight lines through a log, with intervals that respect that neighboring steps resemble each other."""

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from jaxtyping import Float

from aent.statistics import Estimate

RESAMPLES = 2_000
MOST = 500
"""Points of a fit at most; longer logs are averaged over neighboring rows first."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """``y = intercept + slope x``, fitted by least squares."""

    intercept: float
    slope: float
    r2: float
    """Share of the variance of y that the line explains; 0 if y is constant."""
    points: int
    intercepts: Float[np.ndarray, " resamples"]
    slopes: Float[np.ndarray, " resamples"]

    @property
    def slope_estimate(self) -> Estimate:
        """The slope with its 95 % interval."""
        return interval(self.slope, self.slopes)

    def at(self, x: float) -> Estimate:
        """Return the line at x with its 95 % interval."""
        return interval(self.intercept + self.slope * x, self.intercepts + self.slopes * x)


def fit_line(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], *, seed: int = 0) -> Line:
    """Fit a line through points in the order in which they were logged.

    Intervals resample blocks of ``ceil(sqrt(n))`` residuals, scaled by ``sqrt(n / (n - 2 - block))``:
    least squares takes two degrees of freedom, and the means of the blocks about one block more.
    Source: the moving-block bootstrap (Künsch, Annals of Statistics 17(3), 1989).
    """
    base = float(y[0])  # taken off, so that the slope of a constant is 0 and not rounding
    x, y = _thinned(np.asarray(x, float)), _thinned(np.asarray(y, float) - base)
    n = len(x)
    center = x - x.mean()
    scale = float(center @ center)
    slope = float(center @ y) / scale
    fitted = y.mean() + slope * center
    residuals = y - fitted
    total = float(np.square(y - y.mean()).sum())
    block = ceil(sqrt(n))
    starts = np.random.default_rng(seed).integers(0, n - block + 1, size=(RESAMPLES, ceil(n / block)))
    picks = (starts[..., None] + np.arange(block)).reshape(RESAMPLES, -1)[:, :n]
    drawn = fitted + residuals[picks] * sqrt(n / max(n - 2 - block, 1))
    slopes = drawn @ center / scale
    return Line(
        intercept=float(base + y.mean() - slope * x.mean()),
        slope=slope,
        r2=1 - float(residuals @ residuals) / total if total > 0 else 0.0,
        points=n,
        intercepts=base + drawn.mean(1) - slopes * x.mean(),
        slopes=slopes,
    )


def interval(value: float, draws: Float[np.ndarray, " resamples"]) -> Estimate:
    """Return a value with the 95 % percentile interval of its resamples."""
    low, high = np.quantile(draws, [0.025, 0.975], method="nearest")
    return Estimate(value, float(low), float(high))


def _thinned(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " points"]:
    size = ceil(len(values) / MOST)
    return np.array([values[at : at + size].mean() for at in range(0, len(values), size)])
