from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aent.errors import InputError
from aent.evaluation.metrics import maj_at_k, pass_at_k


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
