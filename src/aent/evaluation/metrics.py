"""What is measured on sampled answers: pass@k, maj@k, and intervals over problems."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from aent.errors import InputError

_CHUNK = 1_000  # resamples drawn at a time, so that memory stays at _CHUNK x problems


class Estimate(NamedTuple):
    """A value and its interval, in the unit of the value."""

    value: float
    low: float
    high: float


class PerProblem(NamedTuple):
    """One value per problem and the weight it carries in the mean; weight 0 leaves it out."""

    values: Float[np.ndarray, "problems"]
    weights: Float[np.ndarray, "problems"]


def pass_at_k(
    correct: Int[np.ndarray, "problems"], n: int | Int[np.ndarray, "problems"], k: int
) -> Float[np.ndarray, "problems"]:
    """Return, per problem, the probability that k of its n samples hold a correct one.

    ``1 - C(n - c, k) / C(n, k) = 1 - prod_{j<k} (n - c - j) / (n - j)``, unbiased for
    ``1 - (1 - p)^k``. Source: Chen et al. 2021, arXiv 2107.03374, eq. 1.

    Args:
        correct: c, how many of the samples of each problem are correct.
        n: how many samples there are, the same for all problems or one number each.
        k: how many samples may be tried.

    Raises:
        InputError: where k is not in 1..n or a count is not in 0..n.
    """
    c, n = np.broadcast_arrays(np.asarray(correct), np.asarray(n))
    if np.any((c < 0) | (c > n)):
        raise InputError(f"correct counts must lie in 0..n, got {c.tolist()} for n = {n.tolist()}.")
    _check_k(k, int(n.min(initial=k)))
    j = np.arange(k)
    wrong = np.maximum(n[:, None] - c[:, None] - j, 0)
    return 1.0 - np.prod(wrong / (n[:, None] - j), axis=1)


def maj_at_k(answers: Sequence[str | None], correct: Sequence[bool], k: int) -> float:
    """Return the probability that the majority answer of k samples of one problem is correct.

    The mean over the ``n // k`` disjoint groups of k consecutive samples, which is unbiased since
    samples are exchangeable; with k = n it is the vote of all samples. A None casts no vote.
    Tied answers are drawn with equal chance and the expected value is returned, so the result
    is deterministic; a group without votes counts as wrong.
    Source: Wang et al. 2022, arXiv 2203.11171 (self-consistency).

    Raises:
        InputError: where k is not in 1..n, or answers and correct differ in length.
    """
    if len(answers) != len(correct):
        raise InputError(f"got {len(answers)} answers for {len(correct)} marks; give one of each.")
    _check_k(k, len(answers))
    starts = range(0, len(answers) - k + 1, k)
    return float(np.mean([_vote(answers[s : s + k], correct[s : s + k]) for s in starts]))


def _vote(answers: Sequence[str | None], correct: Sequence[bool]) -> float:
    votes = Counter(answer for answer in answers if answer is not None)
    most = max(votes.values(), default=0)
    tied = {answer for answer, count in votes.items() if count == most}
    marks = [mark for answer, mark in zip(answers, correct, strict=True) if answer in tied]
    # Tied answers have equally many votes, so the mean over votes is the mean over answers.
    return float(np.mean(marks)) if marks else 0.0


def bootstrap(
    values: Float[np.ndarray, "problems"],
    *,
    weights: Float[np.ndarray, "problems"] | None = None,
    seed: int = 0,
    resamples: int = 10_000,
    level: float = 0.95,
) -> Estimate:
    """Return the weighted mean over problems and its percentile interval.

    ``sum(w v) / sum(w)``, resampled over problems with replacement; the weights travel with their
    problem. Source: Efron 1979, percentile method. Entries of weight 0 are left out.

    Raises:
        InputError: where there is no value, one is not finite, or a weight is negative.
    """
    column = _checked(values, weights)
    means = _resampled_means(column, seed, resamples)
    return _estimate(_mean(column), means, level)


def standard_error(column: PerProblem) -> float | None:
    """Return the standard error of the weighted mean over problems; None with fewer than two.

    ``sqrt(n / (n - 1) sum(w^2 (v - mean)^2)) / sum(w)`` over the n problems of weight above 0; with
    equal weights the standard deviation over sqrt(n). Samples of one problem are not independent of
    each other, so problems are what is counted. Source: Miller 2024, arXiv 2411.00640.
    """
    values, weights = _checked(column.values, column.weights)
    n = values.size
    if n < 2:
        return None
    spread = np.sum(weights**2 * (values - np.average(values, weights=weights)) ** 2)
    return float(np.sqrt(n / (n - 1) * spread) / weights.sum())


def paired_bootstrap(
    before: PerProblem,
    after: PerProblem,
    *,
    seed: int = 0,
    resamples: int = 10_000,
    level: float = 0.95,
) -> Estimate:
    """Return the difference after - before of two weighted means and its percentile interval.

    Both sides are measured on the same problems and resampled together, so what the problems
    share cancels. A problem left out on either side (weight 0) is left out of both.

    Raises:
        InputError: as `bootstrap`, and where the two sides differ in length.
    """
    if len(before.values) != len(after.values):
        raise InputError(
            f"a paired difference needs the same problems on both sides, "
            f"got {len(before.values)} and {len(after.values)}."
        )
    both = (np.asarray(before.weights) > 0) & (np.asarray(after.weights) > 0)
    one, two = (_checked(side.values[both], side.weights[both]) for side in (before, after))
    # The same seed and length draw the same problems on both sides.
    means = _resampled_means(two, seed, resamples) - _resampled_means(one, seed, resamples)
    return _estimate(_mean(two) - _mean(one), means, level)


def _checked(values: np.ndarray, weights: np.ndarray | None) -> PerProblem:
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


def _resampled_means(column: PerProblem, seed: int, resamples: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    weighted, size = column.values * column.weights, column.values.size
    means = []
    for start in range(0, resamples, _CHUNK):
        drawn = rng.integers(size, size=(min(_CHUNK, resamples - start), size))
        means.append(weighted[drawn].sum(axis=1) / column.weights[drawn].sum(axis=1))
    return np.concatenate(means)


def _estimate(value: float, means: np.ndarray, level: float) -> Estimate:
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high))


def _check_k(k: int, n: int) -> None:
    if not 1 <= k <= n:
        raise InputError(
            f"k must lie in 1..{n}, the number of samples per problem, got {k}. Draw more samples or lower k."
        )
