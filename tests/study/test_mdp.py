"""Training: what the rules do on worlds whose outcome is known."""

import numpy as np
import pytest

from aent.study.mdp import Job, advantages, simulate
from aent.study.settings import Bonus, World

EASY = World(actions=50, optimal=2, states=4, steps=400, prior=0.2, noise=0.01, batch=4, lr=0.01)


def test_advantages_by_hand():
    """Of (3, 0, 0): 3 - (0 + 0)/2 = 3 and 0 - (3 + 0)/2 = -1.5; of any row they sum to zero."""
    assert advantages(np.array([[3.0, 0.0, 0.0]])).tolist() == [[3.0, -1.5, -1.5]]


def test_without_noise_it_learns():
    result = simulate(Job(EASY, Bonus(), (0,)))
    assert np.min(result["final"]) > 0.95
    assert result["entropy"][-1][0] < result["entropy"][0][0]


def test_a_large_bonus_keeps_the_policy_uniform():
    """Coefficient 1e3 in units of the noise is 10 in units of the reward: the regularised optimum gives the
    2 of 50 actions e^.1 times the weight of the others, in all 2 e^.1 / (2 e^.1 + 48) = .044."""
    result = simulate(Job(EASY, Bonus(coef=1e3), (0,)))
    optimum = 2 * np.exp(0.1) / (2 * np.exp(0.1) + 48)
    assert np.mean(result["final"]) == pytest.approx(optimum, abs=0.02)
