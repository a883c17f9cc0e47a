"""The propositions on random MDPs, where ascent comes to rest, and one step."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aent.ops import token_stats
from aent.study import theory
from aent.study.tree import (
    GRADIENT_CONSTANT,
    bias_bound,
    evaluate,
    gradient,
    norm,
    soft_optimum,
    softmax,
    stationary_bound,
)
from aent.subsets import Fraction

REWARDS, KEPT, COEF = np.array([[0.1, 0.3, 0.5, 0.9, 0.8]]), 2, 0.2
PAIRS = list(combinations(range(5), KEPT))


def test_resting_points_by_hand():
    """Keeping (.9, .8) V is .9 s + .8 (1 - s) with s = 1 / (1 + e^-.5) = .6225: gap .0378. Keeping (.9, .5)
    it is .9 - .4 / (1 + e^2) = .8523, above the .8 that is left out: ascent rests there too. Keeping
    (.8, .5) it would not: .9 is outside."""
    gaps = dict(zip(PAIRS, theory.resting_gaps(REWARDS, COEF, KEPT)[0], strict=True))
    assert gaps[3, 4] == pytest.approx(0.1 / (1 + np.exp(0.5)))
    assert gaps[2, 3] == pytest.approx(0.4 / (1 + np.exp(2)))
    assert np.isnan(gaps[2, 4])


@pytest.mark.parametrize(("start", "pair"), [(-1, (3, 4)), (1, (2, 3))])
def test_ascent_comes_to_rest_where_it_should(start, pair):
    """Exact ascent by autograd, the later actions likelier at the start, or the earlier ones."""
    rewards = torch.tensor(REWARDS[0])
    logits = torch.linspace(start, -start, 5, dtype=torch.float64).requires_grad_()
    for _ in range(1000):
        stats = token_stats(logits, torch.tensor(0), subset=Fraction(drop=0.6), backend="reference")
        (logits.softmax(0) @ rewards + COEF * stats.entropy).backward()
        with torch.no_grad():
            logits += 4.0 * logits.grad
            logits.grad = None
    gap = 0.9 - float(logits.detach().softmax(0) @ rewards)
    assert gap == pytest.approx(theory.resting_gaps(REWARDS, COEF, KEPT)[0, PAIRS.index(pair)], abs=5e-3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 2), st.floats(0.01, 3.0))
def test_the_bounds_hold_anywhere(seed, scale, coef):
    rng = np.random.default_rng(seed)
    rewards = rng.random((5, 27)).round(scale)  # rounded: several optimal responses
    policy = softmax([10**scale * rng.standard_normal((5, 3**t, 3)) for t in range(3)])
    best = rewards.max(1)
    slope = gradient(policy, rewards, 0.0)
    entropy = evaluate(policy, rewards).entropy
    assert (norm(slope) <= GRADIENT_CONSTANT * entropy + 1e-9).all()
    assert (best - evaluate(policy, rewards).reward <= stationary_bound(policy, rewards, coef) + 1e-9).all()
    optimum = soft_optimum(rewards, 3, 3, coef)
    assert (best - evaluate(optimum, rewards).reward <= bias_bound(rewards, 3, 3, coef) + 1e-9).all()
    for kept in (1, 2, 5, 9):
        gaps = theory.resting_gaps(rewards[:, :9], coef, kept)
        assert np.nanmax(gaps) <= coef * np.log(kept) + 1e-9
        assert np.isfinite(gaps).any(1).all()  # there always is a resting point


def test_a_violation_is_found_and_written_out():
    cases = theory.check(seed=0, shape=0)
    assert theory.summary("bias", cases)["violations"] == 0
    wrong = theory.Case("bias", 2, 1, 0.5, value=1.0, bound=0.9, entropy=0.1, where=(0, 0, 3))
    assert wrong.violated
    assert theory.summary("bias", [*cases, wrong])["violations"] == 1
    assert str(theory.random_mdps(0, 0).rewards[3].tolist()) in theory.describe(wrong)


def test_one_step():
    """Without a bonus only the optimal action gains; the full entropy lifts every tail action, the clamped
    one moves no logit of the tail."""
    rows = {row["step"]: row for row in theory.one_step_table()}
    assert set(rows) == {"start", "none", "entropy", "clamped"}
    assert rows["none"]["optimal"] > rows["start"]["optimal"]
    assert rows["entropy"]["tail"] > rows["clamped"]["tail"]
    _, none = theory.one_step(*theory.ONE_STEP["none"])
    _, clamped = theory.one_step(*theory.ONE_STEP["clamped"])
    tail = (clamped / none)[100:]
    torch.testing.assert_close(tail, tail[0].expand_as(tail))  # scaled alike, by the normaliser
