"""The settings: what they build, what they keep apart, and worlds that cannot be run."""

import numpy as np
import pytest

from aent.controllers import Band, Fixed, Lagrangian
from aent.errors import InputError
from aent.study.settings import METHODS, OPTIMAL, SEARCH_SEEDS, SEEDS, WORLD, Bonus, World


def test_controllers():
    assert Bonus(coef=0.3).controller(100) == Fixed(coef=0.3)
    most = np.log(10)  # 10 of 100 kept
    bonus = Bonus(coef=0.1, drop=0.9, band=(0.25, 0.5), lr=0.2)
    expected = Band(coef=0.1, low=0.25 * most, high=0.5 * most, lr=0.2, coef_min=0.0, coef_max=1.0)
    assert bonus.controller(100) == expected
    bonus = Bonus(coef=0.1, drop=0.9, target=0.25, lr=0.2)
    assert bonus.controller(100) == Lagrangian(coef=0.1, target=0.25 * most, lr=0.2)


def test_the_lagrangian_by_hand():
    """Target 2 of at most 4 nats: at 3 nats .1 * 1 less, at 1 nat .1 * 1 more, and never below 0."""
    rule = Bonus(coef=0.15, target=2.0 / np.log(100), lr=0.1).controller(100)
    assert [round(rule.update(entropy), 6) for entropy in (3.0, 1.0, 9.0)] == [0.05, 0.15, 0.0]


def test_fields_of_a_bonus_keep_their_names():
    """Finished runs are found by them: see `aent.study.cache`."""
    assert list(vars(METHODS["band"])) == ["coef", "drop", "target", "band", "lr"]


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
