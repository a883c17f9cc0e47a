from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aent.errors import InputError
from aent.evaluation.metrics import maj_at_k, pass_at_k
from aent.statistics import PerProblem, bootstrap, paired_bootstrap, standard_error


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_correct_sample(data):
    n = data.draw(st.integers(1, 8))
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    subsets = list(combinations([1] * c + [0] * (n - c), k))
    share = sum(any(subset) for subset in subsets) / len(subsets)
    assert pass_at_k(np.array([c]), n, k)[0] == pytest.approx(share, abs=1e-12)


def test_pass_at_k_by_hand():
    # n = 5, k = 3: 1 - C(5-c, 3) / C(5, 3) with C(5, 3) = 10.
    # c = 0: 1 - 10/10; c = 1: 1 - 4/10; c = 2: 1 - 1/10; c = 3: C(2, 3) = 0.
    assert pass_at_k(np.array([0, 1, 2, 3]), 5, 3) == pytest.approx([0, 0.6, 0.9, 1])


def test_pass_at_k_is_stable_where_binomials_overflow():
    # One correct among 4000: the chance that it is among 2000 of them is a half.
    assert pass_at_k(np.array([1]), 4000, 2000)[0] == pytest.approx(0.5, rel=1e-9)


def test_pass_at_k_takes_a_number_of_samples_per_problem():
    # 1 - C(1, 1) / C(2, 1) and 1 - C(3, 1) / C(4, 1).
    assert pass_at_k(np.array([1, 1]), np.array([2, 4]), 1) == pytest.approx([0.5, 0.25])


@pytest.mark.parametrize(("c", "n", "k"), [([1], 4, 5), ([1], 4, 0), ([5], 4, 2), ([-1], 4, 2)])
def test_pass_at_k_refuses(c, n, k):
    with pytest.raises(InputError):
        pass_at_k(np.array(c), n, k)


@pytest.mark.parametrize(
    ("answers", "correct", "due"),
    [
        ("aab", [1, 1, 0], 1.0),
        ("abb", [1, 0, 0], 0.0),
        # a and b tie with two votes each, a is right; c is outvoted.
        ("aabbc", [1, 1, 0, 0, 1], 1 / 2),
        # Three tied answers, two spellings of the right one.
        ("abc", [1, 1, 0], 2 / 3),
        # A None casts no vote: a wins with one vote against two Nones.
        (["a", None, None], [1, 0, 0], 1.0),
        # Nobody voted.
        ([None, None], [0, 0], 0.0),
    ],
)
def test_majority_of_all_samples(answers, correct, due):
    assert maj_at_k(list(answers), [bool(c) for c in correct], len(correct)) == pytest.approx(due)


def test_majority_of_fewer_is_the_mean_over_disjoint_groups():
    # Groups of 3: (a a b) -> a, right; (b b a) -> b, wrong; the seventh is left over.
    answers, correct = list("aabbbaa"), [True, True, False, False, False, True, True]
    assert maj_at_k(answers, correct, 3) == pytest.approx(1 / 2)


def test_majority_of_fewer_is_unbiased():
    # Averaged over every order of the samples it is the mean over all subsets of k.
    samples = [("a", True), ("a", True), ("b", False), (None, False), ("c", False)]

    def vote(chosen, k):
        return maj_at_k([a for a, _ in chosen], [c for _, c in chosen], k)

    subsets = np.mean([vote(chosen, 2) for chosen in combinations(samples, 2)])
    orders = np.mean([vote(chosen, 2) for chosen in permutations(samples)])
    assert orders == pytest.approx(subsets)


@pytest.mark.parametrize(("answers", "correct", "k"), [("ab", [1, 0], 3), ("ab", [1], 1)])
def test_majority_refuses(answers, correct, k):
    with pytest.raises(InputError):
        maj_at_k(list(answers), correct, k)


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
