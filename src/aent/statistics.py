"""Estimates with errors and intervals: means over problems, over seeds and over prompts, learning curves.

Samples of one problem are not independent of each other, so what is counted and resampled is problems,
never samples.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

from aent.errors import InputError

_CHUNK = 1_000
"""Resamples drawn at a time by `bootstrap`, so that memory stays at `_CHUNK` x problems."""


class Figure(NamedTuple):
    """A measured number."""

    value: float
    error: float
    """Standard error over prompts."""


class Estimate(NamedTuple):
    """A value and its interval, in the unit of the value."""

    value: float
    low: float
    """NaN, like `high`, where there was nothing to resample: see `paired_difference`."""
    high: float


class PerProblem(NamedTuple):
    """One value per problem, and its weight in the mean; weight 0 leaves the problem out."""

    values: Float[np.ndarray, "problems"]
    weights: Float[np.ndarray, "problems"]


def area_under_curve(steps: Sequence[float], values: Sequence[float]) -> float:
    """Return the mean height of a learning curve up to its last step, in the unit of the values.

    The integral by trapezoids over the logged steps, divided by the last step. Before the first logged
    step the curve counts as flat.

    Raises:
        InputError: if nothing was logged.
    """
    if not steps:
        raise InputError("a learning curve without a logged step has no area")
    x = np.array([0.0, *steps])
    return float(np.trapezoid(np.array([values[0], *values]), x) / x[-1])


def ratio(above: Float[Tensor, " n"], below: Float[Tensor, " n"]) -> Figure:
    """Return ``sum a / sum b`` with its standard error over n prompts, to first order.

    ``error^2 = n / (n - 1) sum_i (a_i - ratio b_i)^2 / (sum b)^2``

    Source: the ratio estimator of survey sampling (Cochran, Sampling Techniques, chapter 6).
    """
    value = above.sum() / below.sum()
    scatter = (above - value * below).square().sum() * len(above) / (len(above) - 1)
    return Figure(float(value), float(scatter.sqrt() / below.sum()))


def standard_error(column: PerProblem) -> float | None:
    """Return the standard error of the weighted mean over problems; None with fewer than two problems.

    ``sqrt(n / (n - 1) sum(w^2 (v - mean)^2)) / sum(w)`` over the n problems of weight above 0. With equal
    weights this is the standard deviation over sqrt(n). Source: Miller 2024, arXiv 2411.00640.
    """
    values, weights = _counted(column.values, column.weights)
    n = values.size
    if n < 2:
        return None
    spread = np.sum(weights**2 * (values - np.average(values, weights=weights)) ** 2)
    return float(np.sqrt(n / (n - 1) * spread) / weights.sum())


def bootstrap(
    values: Float[np.ndarray, "problems"],
    *,
    weights: Float[np.ndarray, "problems"] | None = None,
    seed: int = 0,
    resamples: int = 10_000,
    level: float = 0.95,
) -> Estimate:
    """Return the weighted mean over problems and its percentile interval.

    ``sum(w v) / sum(w)``, resampled over problems with replacement; a weight stays with its problem.
    Entries of weight 0 are left out. Source: Efron 1979, percentile method.

    Raises:
        InputError: if there is no value, one is not finite, or a weight is negative.
    """
    column = _counted(values, weights)
    return _estimate(_mean(column), _resampled_means(column, seed, resamples), level)


def paired_bootstrap(
    before: PerProblem,
    after: PerProblem,
    *,
    seed: int = 0,
    resamples: int = 10_000,
    level: float = 0.95,
) -> Estimate:
    """Return the difference after - before of two weighted means and its percentile interval.

    Both sides are measured on the same problems and resampled together, so whatever the problems have in
    common cancels. A problem left out on either side (weight 0) is left out of both.

    Raises:
        InputError: as `bootstrap`, and if the two sides differ in length.
    """
    if len(before.values) != len(after.values):
        raise InputError(
            f"a paired difference needs the same problems on both sides, "
            f"got {len(before.values)} and {len(after.values)}."
        )
    both = (np.asarray(before.weights) > 0) & (np.asarray(after.weights) > 0)
    one, two = (_counted(side.values[both], side.weights[both]) for side in (before, after))
    # The same seed and length draw the same problems on both sides.
    means = _resampled_means(two, seed, resamples) - _resampled_means(one, seed, resamples)
    return _estimate(_mean(two) - _mean(one), means, level)


def mean_over_seeds(runs: Sequence[PerProblem]) -> float:
    """Return the mean over seeds of the weighted mean over problems."""
    return float(_means(runs, np.ones((1, len(runs[0].values)))).mean())


def paired_difference(
    baseline: Sequence[PerProblem],
    method: Sequence[PerProblem],
    *,
    seed: int = 0,
    resamples: int = 10_000,
    level: float = 0.95,
) -> Estimate:
    """Return the mean difference method - baseline over seeds, with its percentile interval.

    For each seed, take the difference of the two weighted means over problems; then average over seeds.
    A problem left out on either side of a seed (weight 0) is left out of both. Seeds and problems are both
    resampled with replacement, the same ones on both sides, so whatever the two sides share cancels. The
    interval covers other seeds and other problems; with one seed it covers other problems only, and with
    one seed of one problem there is none: `low` and `high` are NaN. Source: the pigeonhole bootstrap (Owen,
    Annals of Applied Statistics 1(2), 2007).

    Args:
        baseline: one entry per seed, over the same problems in the same order.
        method: the same seeds and problems.
        seed: of the random numbers that resample.
        resamples: number of resamples.
        level: of the interval.

    Raises:
        InputError: if the two sides have different seeds or problems, or there is no seed at all.
    """
    sizes = {len(column.values) for column in (*baseline, *method)}
    if len(baseline) != len(method) or len(sizes) != 1:
        raise InputError(
            f"a paired difference needs the same seeds and problems on both sides, got {len(baseline)} and "
            f"{len(method)} seeds with {sorted(sizes)} problems"
        )
    seeds, problems = len(baseline), sizes.pop()
    baseline, method = zip(*map(_on_both, baseline, method), strict=True)
    once = np.ones((1, problems))
    value = float((_means(method, once) - _means(baseline, once)).mean())
    if seeds == problems == 1:
        return Estimate(value, math.nan, math.nan)
    of_problems, of_seeds = _multiplicities(seed, resamples, problems, seeds)
    means = ((_means(method, of_problems) - _means(baseline, of_problems)) * of_seeds).sum(1) / seeds
    tail = 50 * (1 - level)
    low, high = np.nanpercentile(means, [tail, 100 - tail])
    return Estimate(value, float(low), float(high))


def basis(seeds: int) -> str:
    """Return what the intervals of `paired_difference` cover with this many seeds."""
    return "over seeds and problems" if seeds > 1 else "over problems"


def _on_both(one: PerProblem, other: PerProblem) -> tuple[PerProblem, PerProblem]:
    """Leave the problems out that either side leaves out."""
    both = (np.asarray(one.weights) > 0) & (np.asarray(other.weights) > 0)
    return PerProblem(one.values, one.weights * both), PerProblem(other.values, other.weights * both)


def _counted(values: np.ndarray, weights: np.ndarray | None) -> PerProblem:
    """Return the problems of weight above 0; raises `InputError` as `bootstrap`."""
    values = np.asarray(values, dtype=np.float64)
    weights = np.ones_like(values) if weights is None else np.asarray(weights, dtype=np.float64)
    if np.any(~(weights >= 0)):
        raise InputError("weights must be zero or positive.")
    column = PerProblem(values[weights > 0], weights[weights > 0])
    if not column.values.size:
        raise InputError("there is no value to take an interval over; give at least one problem.")
    if not np.all(np.isfinite(column.values)):
        bad = int((~np.isfinite(column.values)).sum())
        raise InputError(
            f"{bad} of {column.values.size} values are not finite; an interval needs "
            f"numbers. Does the model produce NaN?"
        )
    return column


def _mean(column: PerProblem) -> float:
    return float(np.average(column.values, weights=column.weights))


def _resampled_means(column: PerProblem, seed: int, resamples: int) -> Float[np.ndarray, "resamples"]:
    rng = np.random.default_rng(seed)
    weighted, size = column.values * column.weights, column.values.size
    means = []
    for start in range(0, resamples, _CHUNK):
        drawn = rng.integers(size, size=(min(_CHUNK, resamples - start), size))
        means.append(weighted[drawn].sum(axis=1) / column.weights[drawn].sum(axis=1))
    return np.concatenate(means)


def _estimate(value: float, means: Float[np.ndarray, "resamples"], level: float) -> Estimate:
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high))


@lru_cache(maxsize=2)  # every cell of a table asks for the same ones
def _multiplicities(
    seed: int, resamples: int, problems: int, seeds: int
) -> tuple[Float[np.ndarray, "resamples problems"], Float[np.ndarray, "resamples seeds"]]:
    """Return how many times each resample holds each problem, and each seed."""
    rng = np.random.default_rng(seed)
    of_problems, of_seeds = (rng.multinomial(n, np.full(n, 1 / n), size=resamples) for n in (problems, seeds))
    return of_problems.astype(float), of_seeds.astype(float)


def _means(
    runs: Sequence[PerProblem], of_problems: Float[np.ndarray, "resamples problems"]
) -> Float[np.ndarray, "resamples seeds"]:
    """Return the weighted mean over problems, each counted as many times as it was drawn."""
    weights = np.stack([run.weights for run in runs], 1)
    values = np.stack([np.nan_to_num(run.values) for run in runs], 1)
    with np.errstate(invalid="ignore"):  # a draw in which no problem counts is NaN, and is left out
        return (of_problems @ (weights * values)) / (of_problems @ weights)
