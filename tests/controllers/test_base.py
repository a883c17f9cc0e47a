"""The constant controller, and what checkpoints hold."""

import math

import pytest

from aent.controllers import Fixed, SignStep
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
    assert Fixed(coef=0.1).state_dict() == {"coef": 0.1}


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
