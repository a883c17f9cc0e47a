"""Training: what the rules do on worlds whose outcome is known."""

import numpy as np
import pytest

from aent.controllers import Band, Fixed
from aent.errors import InputError
from aent.study.mdp import Job, advantages, simulate
from aent.study.settings import METHODS, OPTIMAL, SEARCH_SEEDS, SEEDS, WORLD, Bonus, SacDual, World

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


def test_controllers():
    assert Bonus(coef=0.3).controller(100) == Fixed(coef=0.3)
    bonus = Bonus(coef=0.1, drop=0.9, band=(0.25, 0.5), lr=0.2)
    most = np.log(10)  # 10 of 100 kept
    expected = Band(coef=0.1, low=0.25 * most, high=0.5 * most, lr=0.2, coef_min=0.0, coef_max=1.0)
    assert bonus.controller(100) == expected


def test_sac_by_hand():
    """Target 2: at 3 nats .1 * 1 less, at 1 nat .1 * 1 more, and never below 0."""
    dual = SacDual(coef=0.15, target=2.0, lr=0.1)
    assert [round(dual.update(entropy), 6) for entropy in (3.0, 1.0, 9.0)] == [0.05, 0.15, 0.0]


def test_the_settings_keep_search_and_results_apart():
    assert not set(SEEDS) & set(SEARCH_SEEDS)
    assert len(SEEDS) >= 5
    assert OPTIMAL == (15, 10, 5, 1)
    assert (WORLD.actions, WORLD.steps, WORLD.states) == (100_000, 4_000, 25)
    assert METHODS["entropy"].drop == 0 < METHODS["clamped"].drop
    assert (METHODS["band"].coef, METHODS["band"].drop) == (METHODS["clamped"].coef, METHODS["clamped"].drop)


@pytest.mark.parametrize(
    ("field", "value", "part"),
    [
        ("actions", 15, "actions=15"),
        ("optimal", 0, "optimal"),
        ("prior", 1.0, "prior=1.0"),
        ("batch", 1, "batch=1"),
        ("noise", 0.0, "noise=0.0"),
        ("lr", float("nan"), "lr=nan"),
    ],
)
def test_worlds_that_cannot_be(field, value, part):
    world = World(**{"prior": 0.1, "lr": 1.0, field: value})
    with pytest.raises(InputError, match=part):
        world.check()
