"""The constant controller, and what checkpoints hold."""

import math

import pytest

from aent.controllers import Anchor, Band, Doubling, Fixed, Linear, SignStep, Steps
from aent.controllers.base import require_box
from aent.errors import InputError


def test_fixed_never_moves():
    fixed = Fixed(coef=0.01)
    assert {fixed.update(h) for h in (0.0, 1.0, 10.0)} == {0.01}
    assert fixed.band is None


def test_a_checkpoint_holds_the_fields_that_change_and_no_settings():
    rule = SignStep(level=0.2, target=1.0, delta=0.1, coef_min=0.1, coef_max=0.35)
    rule.update(0.5)
    assert rule.state_dict() == {"level": pytest.approx(0.3), "coef": pytest.approx(0.3)}
    assert Fixed(coef=0.1).state_dict() == {}


def resumed(before, now):
    """A controller with today's settings that continues from another one's checkpoint."""
    now.load_state_dict(
        {**before.state_dict(), "coef": before.coef}
    )  # older versions stored every coefficient
    return now


def test_settings_are_those_of_today():
    assert resumed(Fixed(coef=0.01), Fixed(coef=0.05)).coef == 0.05
    half = Linear(start=0.0, end=1.0, steps=4)
    half.update(1.0)
    half.update(1.0)
    assert resumed(half, Linear(start=0.0, end=0.4, steps=4)).coef == pytest.approx(0.2)
    anchored = Anchor(level=0.1)
    assert resumed(anchored, Anchor(level=0.3)).coef == 0.0
    anchored.update(2.0)
    assert resumed(anchored, Anchor(level=0.3)).coef == 0.3


BOX = {"coef_min": 0.001, "coef_max": 0.002}


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (Band(coef=0.009, low=1, high=2, lr=0.1, coef_min=0, coef_max=0.009),
         Band(coef=0.002, low=1, high=2, lr=0.1, **BOX)),
        (Steps(coef=0.009, target=1, delta=0.001, coef_min=0, coef_max=0.009),
         Steps(coef=0.002, target=1, delta=0.001, **BOX)),
        (Doubling(coef=0.009, coef_min=0.001, coef_max=0.009), Doubling(coef=0.002, **BOX)),
    ],
    ids=["band", "steps", "doubling"],
)  # fmt: skip
def test_a_box_that_was_narrowed_holds_at_once(before, now):
    assert resumed(before, now).coef == 0.002


def test_a_level_that_was_out_of_force_stays_so():
    wide, narrow = ({"coef_min": 0.0, "coef_max": top} for top in (0.9, 0.2))
    for entropy, coef in ((0.5, 0.2), (1.5, 0.0)):
        rule = SignStep(level=0.5, target=1.0, delta=0.1, **wide)
        rule.update(entropy)
        now = resumed(rule, SignStep(level=0.1, target=1.0, delta=0.1, **narrow))
        assert (now.level, now.coef) == (0.2, coef)


@pytest.mark.parametrize("coef", [math.inf, math.nan, True, "0.1", None])
def test_what_is_not_a_finite_number_is_named(coef):
    with pytest.raises(InputError, match=f"coef={coef!r} of Fixed must be a finite number"):
        Fixed(coef=coef)


def test_a_coefficient_may_start_at_an_edge_of_its_box():
    for coef in (0.1, 0.3):
        require_box(coef, 0.1, 0.3)
    for coef in (0.1 - 1e-9, 0.3 + 1e-9):
        with pytest.raises(InputError, match=r"lies outside its box \[coef_min=0.1, coef_max=0.3\]"):
            require_box(coef, 0.1, 0.3)
