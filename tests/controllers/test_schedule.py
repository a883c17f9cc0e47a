"""Schedules by hand."""

import math

import pytest

from aent.controllers import Cosine, Linear
from aent.errors import InputError


def test_linear_by_hand():
    """0.1 to 0.02 over 4 updates: 0.1 - 0.02 n, then it stays."""
    rule = Linear(start=0.1, end=0.02, steps=4)
    coefs = [rule.coef, *(rule.update(9.0) for _ in range(5))]
    assert coefs == pytest.approx([0.1, 0.08, 0.06, 0.04, 0.02, 0.02])
    assert rule.band is None


def test_cosine_by_hand():
    """1 to 0 over 4 updates, (1 + cos(pi n / 4)) / 2: cos is 1, sqrt(1/2), 0, -sqrt(1/2), -1."""
    rule = Cosine(start=1.0, end=0.0, steps=4)
    coefs = [rule.coef, *(rule.update(9.0) for _ in range(5))]
    half = math.sqrt(0.5)
    assert coefs == pytest.approx([1, (1 + half) / 2, 0.5, (1 - half) / 2, 0, 0], abs=1e-15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linear(start=0.1, end=0.0, steps=0), "steps=0 of Linear must be at least 1"),
        (lambda: Cosine(start=math.inf, end=0.0, steps=1), "start=inf of Cosine must be a finite number"),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
