"""A target that is measured."""

import math

import pytest

from aent.controllers import Anchor
from aent.errors import InputError


def test_anchor_is_the_first_measurement():
    rule = Anchor(level=0.005)
    assert (rule.coef, rule.band) == (0.0, None)
    assert [rule.update(h) for h in (1.5, 0.2, 9.0)] == [0.005] * 3
    assert rule.band == (1.5, 1.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Anchor(level=math.nan), "level=nan of Anchor"),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
