"""Dual ascent by hand."""

import math

import pytest

from aent.controllers import Dual, Lagrangian, Share
from aent.errors import InputError


def test_dual_by_hand():
    """log coef <- log coef + 0.5 (1 - H): by e^0.5 up at H = 0, by e^-1 down at H = 3, still at H = 1."""
    rule = Dual(coef=0.1, target=1.0, lr=0.5)
    coefs = [rule.update(h) for h in (0.0, 3.0, 1.0)]
    assert coefs == pytest.approx([0.1 * math.exp(0.5), 0.1 * math.exp(-0.5), 0.1 * math.exp(-0.5)])
    assert rule.band == (1.0, 1.0)


def test_dual_at_zero_stays_there():
    rule = Dual(coef=0.0, target=1.0, lr=0.5)
    assert rule.update(0.0) == 0.0


@pytest.mark.parametrize("lr", [0.9, 1e6])
def test_a_target_out_of_reach_is_named(lr):
    rule = Dual(coef=0.1, target=100.0, lr=lr)
    with pytest.raises(InputError, match=r"never came near the target=100.0; lower the target, or lr="):
        [rule.update(0.0) for _ in range(100)]


def test_lagrangian_by_hand():
    """coef <- max(0, coef + 0.1 (1 - H)).

    H     step    coef from 0.1
    0.5    0.05    0.15
    1.0    0       0.15
    2.0   -0.1     0.05
    3.0   -0.2     0       projected
    0.0    0.1     0.1     and off again at once
    """
    rule = Lagrangian(coef=0.1, target=1.0, lr=0.1)
    assert [rule.update(h) for h in (0.5, 1.0, 2.0, 3.0, 0.0)] == pytest.approx([0.15, 0.15, 0.05, 0, 0.1])


def test_share_by_hand():
    """Target 0.4 * 2 = 0.8 from the first window on: 0.2 + 0.1 (0.8 - 2) = 0.08, + 0.1 (0.8 - 0.3) = 0.13."""
    rule = Share(coef=0.2, share=0.4, lr=0.1)
    assert rule.band is None
    assert [rule.update(h) for h in (2.0, 0.3)] == pytest.approx([0.08, 0.13])
    assert rule.band == pytest.approx((0.8, 0.8))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dual(coef=-0.1, target=1.0, lr=0.1), "coef=-0.1 and lr=0.1 must not be negative"),
        (lambda: Lagrangian(coef=0.1, target=1.0, lr=-0.1), "lr=-0.1 must not be negative"),
        (lambda: Lagrangian(coef=0.1, target=math.nan, lr=0.1), "target=nan of Lagrangian"),
        (lambda: Share(coef=0.1, share=-0.4, lr=0.1), "share=-0.4 must not be negative"),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
