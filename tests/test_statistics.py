import numpy as np
import pytest

from aent import InputError
from aent.statistics import PerProblem, area_under_curve, mean_over_seeds, paired_difference


def run(*values, weights=None):
    return PerProblem(np.array(values, float), np.ones(len(values)) if weights is None else np.array(weights))


def test_the_difference_by_hand():
    """Seed 0: (0.5 + 1) / 2 - 0.25 = 0.5; seed 1: 0.5 - 0.75 = -0.25; mean 0.125."""
    baseline = [run(0.5, 0.0), run(0.5, 1.0)]
    method = [run(0.5, 1.0), run(0.0, 1.0)]
    assert paired_difference(baseline, method).value == pytest.approx(0.125)


def test_weights_travel_with_their_problem():
    """(1 * 3 + 0 * 1) / 4 = 0.75 against (0 * 1 + 1 * 1) / 2 = 0.5; a problem of weight 0 counts nowhere."""
    method = [run(1.0, 0.0, 9.0, weights=[3.0, 1.0, 0.0])]
    baseline = [run(0.0, 1.0, 9.0, weights=[1.0, 1.0, 0.0])]
    assert paired_difference(baseline, method).value == pytest.approx(0.25)
    assert mean_over_seeds([*method, *baseline]) == pytest.approx(0.625)


def test_what_both_sides_share_cancels():
    rng = np.random.default_rng(0)
    baseline = [run(*rng.random(50)) for _ in range(4)]
    method = [PerProblem(b.values + 0.1, b.weights) for b in baseline]
    assert paired_difference(baseline, method) == pytest.approx((0.1, 0.1, 0.1))


def test_the_interval_covers_seeds_and_problems():
    """95 of 100 intervals should hold the true difference 0 where seeds and problems both vary."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        problems, seeds = rng.normal(size=40), rng.normal(size=(12, 1))
        delta = problems + seeds + rng.normal(size=(12, 40))
        found = paired_difference([run(*np.zeros(40))] * 12, [run(*row) for row in delta], resamples=400)
        hits += found.low <= 0 <= found.high
    assert hits >= 175  # a bootstrap of 12 seeds is somewhat short; 0.875 of 200
    narrow = paired_difference([run(*np.zeros(40))], [run(*np.full(40, 0.3))])
    assert (narrow.low, narrow.high) == pytest.approx((0.3, 0.3))


def test_sides_must_match():
    with pytest.raises(InputError, match="1 and 2 seeds"):
        paired_difference([run(1.0)], [run(1.0), run(1.0)])
    with pytest.raises(InputError, match=r"\[1, 2\] problems"):
        paired_difference([run(1.0)], [run(1.0, 2.0)])


def test_area_by_hand():
    """Flat 1 from 0 to 10, then a rise to 3 at 20: (10 * 1 + 10 * 2) / 20 = 1.5."""
    assert area_under_curve([10, 20], [1.0, 3.0]) == pytest.approx(1.5)
    with pytest.raises(InputError, match="no area"):
        area_under_curve([], [])
