"""EntroPIC's rule by hand, and its box."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aent.controllers import PI
from aent.errors import InputError


def test_pi_by_hand():
    """a = clip(2 e + 0.5 sum e, -1, 1), e = H - 0.4.

    H     e      sum e   2 e + 0.5 sum e
    0.5   0.1    0.1     0.25
    0.2  -0.2   -0.1    -0.45
    0.4   0     -0.1    -0.05     the sum alone
    2.4   2      1.9     4.95 -> 1
    0.4   0      1.9     0.95     the sum was not limited
    """
    rule = PI(target=0.4, kp=2.0, ki=0.5)
    assert rule.coef == 0
    coefs = [rule.update(h) for h in (0.5, 0.2, 0.4, 2.4, 0.4)]
    assert coefs == pytest.approx([0.25, -0.45, -0.05, 1.0, 0.95])


@given(st.lists(st.floats(0, 12), max_size=40))
@settings(max_examples=50, deadline=None)
def test_the_coefficient_stays_in_its_box(entropies):
    rule = PI(target=0.4, kp=2.0, ki=0.5)
    for entropy in entropies:
        assert -1 <= rule.update(entropy) <= 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PI(target=0.4, kp=1.0, ki=0.1, coef_min=0.1), "coef=0.0 lies outside its box"),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
