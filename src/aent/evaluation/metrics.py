"""pass@k and maj@k of sampled answers."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from aent.errors import InputError


def pass_at_k(
    correct: Int[np.ndarray, "problems"], n: int | Int[np.ndarray, "problems"], k: int
) -> Float[np.ndarray, "problems"]:
    """Return, per problem, the probability that k of its n samples include a correct one.

    ``1 - C(n - c, k) / C(n, k) = 1 - prod_{j<k} (n - c - j) / (n - j)``, unbiased for
    ``1 - (1 - p)^k``. Source: Chen et al. 2021, arXiv 2107.03374, eq. 1.

    Args:
        correct: c, the number of correct samples of each problem.
        n: the number of samples, one for all problems or one per problem.
        k: the number of attempts.

    Raises:
        InputError: if k is not in 1..n or a count is not in 0..n.
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

    The mean over the ``n // k`` disjoint groups of k consecutive samples, which is unbiased because
    samples are exchangeable; with k = n it is the vote of all samples. A None casts no vote.
    Ties are broken uniformly and the expected value is returned, so the result is deterministic;
    a group without votes counts as wrong.
    Source: Wang et al. 2022, arXiv 2203.11171 (self-consistency).

    Raises:
        InputError: if k is not in 1..n, or answers and correct differ in length.
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


def _check_k(k: int, n: int) -> None:
    if not 1 <= k <= n:
        raise InputError(
            f"k must lie in 1..{n}, the number of samples per problem, got {k}. Draw more samples or lower k."
        )
