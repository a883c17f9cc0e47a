import math

import numpy as np
import pytest
import torch

from aent import InputError
from aent.statistics import (
    PerProblem,
    area_under_curve,
    basis,
    bootstrap,
    mean_over_seeds,
    paired_bootstrap,
    paired_difference,
    ratio,
    standard_error,
)


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


def test_one_seed_of_one_problem_has_no_interval():
    """Nothing can be resampled. Over two seeds, of differences 1 and 3, there is: from 1 to 3 around 2."""
    value, *bounds = paired_difference([run(2.0)], [run(5.0)])
    assert value == 3.0
    assert all(map(math.isnan, bounds))
    assert paired_difference([run(2.0), run(2.0)], [run(3.0), run(5.0)]) == (2.0, 1.0, 3.0)


def test_intervals_of_several_seeds_cover_seeds():
    assert (basis(1), basis(2)) == ("over problems", "over seeds and problems")


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


def test_bootstrap_by_hand():
    # Resamples of (0, 1) have mean 0, 1/2, 1 with chance 1/4, 1/2, 1/4: the 2.5 and 97.5 % points
    # are 0 and 1, the 30 and 70 % points both 1/2.
    values = np.array([0.0, 1.0])
    assert bootstrap(values) == (0.5, 0.0, 1.0)
    assert bootstrap(values, level=0.4) == (0.5, 0.5, 0.5)


def test_bootstrap_weighs_and_leaves_out_weight_zero():
    values, weights = np.array([1.0, 4.0, np.nan]), np.array([2.0, 1.0, 0.0])
    assert bootstrap(values, weights=weights).value == pytest.approx(2.0)  # (2*1 + 1*4) / 3
    assert bootstrap(values, weights=weights) == bootstrap(values[:2], weights=10 * weights[:2])


def test_a_weight_travels_with_its_problem():
    # Resamples of (0, 1) with weights (1, 3) have mean 0, 3/4, 1 with chance 1/4, 1/2, 1/4.
    found = bootstrap(np.array([0.0, 1.0]), weights=np.array([1.0, 3.0]), level=0.4)
    assert found == (0.75, 0.75, 0.75)


def test_bootstrap_depends_on_the_seed_alone():
    values = np.random.default_rng(0).normal(size=40)
    assert bootstrap(values, seed=1) == bootstrap(values, seed=1)
    assert bootstrap(values, seed=1) != bootstrap(values, seed=2)


def test_bootstrap_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    draws = rng.exponential(size=(300, 60))  # skewed, mean 1
    found = [bootstrap(values, seed=i, resamples=400) for i, values in enumerate(draws)]
    coverage = np.mean([e.low <= 1 <= e.high for e in found])
    assert 0.88 < coverage < 0.98
    # The mean of 60 draws has standard deviation 1 / sqrt(60).
    width = np.mean([e.high - e.low for e in found])
    assert width == pytest.approx(2 * 1.96 / 60**0.5, rel=0.1)


@pytest.mark.parametrize(
    ("values", "weights"),
    [([], None), ([1.0], [0.0]), ([1.0, np.nan], None), ([1.0, 2.0], [1.0, -1.0])],
)
def test_bootstrap_refuses(values, weights):
    with pytest.raises(InputError):
        bootstrap(np.array(values), weights=None if weights is None else np.array(weights))


def test_paired_difference_cancels_what_problems_share():
    values, weights = np.random.default_rng(0).normal(size=50), np.ones(50)
    shifted = paired_bootstrap(PerProblem(values, weights), PerProblem(values + 0.25, weights))
    assert shifted == pytest.approx((0.25, 0.25, 0.25))


def test_paired_difference_uses_problems_that_count_on_both_sides():
    before = PerProblem(np.array([1.0, 2.0, 9.0]), np.array([1.0, 1.0, 0.0]))
    after = PerProblem(np.array([3.0, 9.0, 5.0]), np.array([1.0, 0.0, 1.0]))
    assert paired_bootstrap(before, after) == (2.0, 2.0, 2.0)  # the first problem alone
    assert paired_difference([before], [after]).value == 2.0


def test_paired_difference_refuses_different_problems():
    with pytest.raises(InputError, match="same problems"):
        paired_bootstrap(PerProblem(np.ones(2), np.ones(2)), PerProblem(np.ones(3), np.ones(3)))


def test_the_standard_error_by_hand():
    # mean 0.5; deviations 0.5, 0.5, 0, 0; sum of squares 0.5; variance 0.5 / 3; error sqrt(0.5 / 3 / 4).
    equal = PerProblem(np.array([0.0, 1.0, 0.5, 0.5]), np.ones(4))
    assert standard_error(equal) == pytest.approx((0.5 / 12) ** 0.5)
    # A problem of weight 0 does not count; the same weights in another unit change nothing.
    more = PerProblem(np.append(equal.values, 9.0), np.array([3.0, 3.0, 3.0, 3.0, 0.0]))
    assert standard_error(more) == pytest.approx((0.5 / 12) ** 0.5)
    # mean (0 + 3) / 4 = 0.75; (1 * 0.75)^2 + (3 * 0.25)^2 = 1.125; sqrt(2 / 1 * 1.125) / 4 = 0.375.
    assert standard_error(PerProblem(np.array([0.0, 1.0]), np.array([1.0, 3.0]))) == pytest.approx(0.375)


def test_one_problem_has_no_standard_error():
    assert standard_error(PerProblem(np.array([0.5, 1.0]), np.array([1.0, 0.0]))) is None


def test_the_standard_error_is_the_spread_of_the_bootstrap():
    values = np.random.default_rng(0).uniform(size=400)
    estimate = bootstrap(values)
    # 95 % of a normal distribution lie within 1.96 standard deviations.
    assert standard_error(PerProblem(values, np.ones(400))) == pytest.approx(
        (estimate.high - estimate.low) / (2 * 1.96), rel=0.03
    )


def test_a_ratio_and_its_error_by_hand():
    """4 / 2, with residuals -1 and 1: error^2 = 2 / 1 * (1 + 1) / 2^2 = 1."""
    assert ratio(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0])) == pytest.approx((2.0, 1.0))
    assert ratio(torch.tensor([2.0, 6.0]), torch.tensor([1.0, 3.0])) == pytest.approx((2.0, 0.0))


def test_the_error_is_what_repeated_measurements_scatter_by():
    """500 draws of 50 prompts of unequal length: within a tenth of the standard deviation of the ratio."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 20, (500, 50), generator=generator).double()
    sums = 0.3 * lengths + torch.randn(500, 50, generator=generator, dtype=torch.float64) * lengths.sqrt()
    ratios = [ratio(a, b) for a, b in zip(sums, lengths, strict=True)]
    values = torch.tensor([figure.value for figure in ratios])
    errors = torch.tensor([figure.error for figure in ratios])
    assert errors.mean() == pytest.approx(values.std().item(), rel=0.1)
