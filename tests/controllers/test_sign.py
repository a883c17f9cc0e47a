"""Skywork's rule by hand, and its box."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aent.controllers import SignStep
from aent.errors import InputError

SIGN = {"level": 0.2, "target": 1.0, "delta": 0.1, "coef_min": 0.1, "coef_max": 0.35}


def test_sign_step_by_hand():
    """Steps of 0.1 in [0.1, 0.35] around H = 1; in force only at or below.

    H     level        in force
    (start) 0.2          0
    0.5   0.3          0.3
    1.0   0.35 (box)   0.35     at the target: up, and on
    1.1   0.25         0
    5.0   0.15         0
    5.0   0.1 (box)    0
    0.9   0.2          0.2
    """
    rule = SignStep(**SIGN)
    assert rule.coef == 0
    seen = [(rule.update(h), rule.level) for h in (0.5, 1.0, 1.1, 5.0, 5.0, 0.9)]
    in_force, levels = zip(*seen, strict=True)
    assert levels == pytest.approx([0.3, 0.35, 0.25, 0.15, 0.1, 0.2])
    assert in_force == pytest.approx([0.3, 0.35, 0, 0, 0, 0.2])


@given(st.lists(st.floats(0, 12), max_size=40))
@settings(max_examples=50, deadline=None)
def test_the_level_stays_in_its_box(entropies):
    rule = SignStep(**SIGN)
    for entropy in entropies:
        assert rule.update(entropy) in (0.0, rule.level)
        assert SIGN["coef_min"] <= rule.level <= SIGN["coef_max"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SignStep(**SIGN | {"level": 0.4}), "coef=0.4 lies outside its box"),
        (lambda: SignStep(**SIGN | {"delta": -0.1}), "delta=-0.1 must not be negative"),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
