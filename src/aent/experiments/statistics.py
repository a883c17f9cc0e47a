"""Differences between methods, with intervals over seeds and problems."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from aent.errors import InputError
from aent.evaluation.metrics import Estimate, PerProblem


def paired_difference(
    baseline: Sequence[PerProblem],
    method: Sequence[PerProblem],
    *,
    seed: int = 0,
    resamples: int = 10_000,
    level: float = 0.95,
) -> Estimate:
    """Return the mean difference method - baseline over seeds, with its percentile interval.

    Per seed, the difference of the two weighted means over problems; then the mean over seeds. Seeds and
    problems are both resampled with replacement, the same ones on both sides, so that what they share
    cancels: the interval speaks of other seeds and of other problems. With one seed it speaks of problems
    only. Source: the pigeonhole bootstrap (Owen, Annals of Applied Statistics 1(2), 2007).

    Args:
        baseline: one entry per seed, over the same problems in the same order.
        method: the same seeds and problems.
        seed: of the resampling.
        resamples: how many.
        level: of the interval.

    Raises:
        InputError: where the two sides have different seeds or problems, or no seed at all.
    """
    sizes = {len(column.values) for column in (*baseline, *method)}
    if len(baseline) != len(method) or len(sizes) != 1:
        raise InputError(
            f"a paired difference needs the same seeds and problems on both sides, got {len(baseline)} and "
            f"{len(method)} seeds with {sorted(sizes)} problems"
        )
    seeds, problems = len(baseline), sizes.pop()
    drawn, which = _resampled(seed, resamples, problems, seeds)
    means = ((_means(method, drawn) - _means(baseline, drawn)) * which).sum(1) / seeds
    once = np.ones((1, problems))
    value = float((_means(method, once) - _means(baseline, once)).mean())
    tail = 50 * (1 - level)
    low, high = np.nanpercentile(means, [tail, 100 - tail])
    return Estimate(value, float(low), float(high))


@lru_cache(maxsize=2)  # a table asks for the same ones in each of its cells
def _resampled(
    seed: int, resamples: int, problems: int, seeds: int
) -> tuple[Float[np.ndarray, "resamples problems"], Float[np.ndarray, "resamples seeds"]]:
    """How many times each resample has each problem, and each seed."""
    rng = np.random.default_rng(seed)
    first, second = (rng.multinomial(n, np.full(n, 1 / n), size=resamples) for n in (problems, seeds))
    return first.astype(float), second.astype(float)


def mean_over_seeds(runs: Sequence[PerProblem]) -> float:
    """Return the mean over seeds of the weighted mean over problems."""
    return float(_means(runs, np.ones((1, len(runs[0].values)))).mean())


def _means(
    runs: Sequence[PerProblem], drawn: Float[np.ndarray, "resamples problems"]
) -> Float[np.ndarray, "resamples seeds"]:
    """Weighted mean over the problems drawn, so many times each."""
    weights = np.stack([run.weights for run in runs], 1)
    values = np.stack([np.nan_to_num(run.values) for run in runs], 1)
    with np.errstate(invalid="ignore"):  # a draw without a problem that counts is NaN, and left out
        return (drawn @ (weights * values)) / (drawn @ weights)


def area_under_curve(steps: Sequence[float], values: Sequence[float]) -> float:
    """Return the mean height of a learning curve up to its last step, in the unit of the values.

    The integral by trapezoids over the logged steps, divided by the last of them; flat before the first.

    Raises:
        InputError: where nothing was logged.
    """
    if not steps:
        raise InputError("a learning curve without a logged step has no area")
    x = np.array([0.0, *steps])
    return float(np.trapezoid(np.array([values[0], *values]), x) / x[-1])
