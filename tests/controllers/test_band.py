"""AEnt's rule: by hand, its properties, its settings."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aent.controllers import Band
from aent.errors import InputError

RULE = {"coef": 0.1, "low": 1.0, "high": 2.0, "lr": 0.1, "coef_min": 0.05, "coef_max": 0.2}


def test_band_follows_the_papers_rule_by_hand():
    """coef <- clip(coef - 0.1 * (min(0, H - 1) + max(0, H - 2)), 0.05, 0.2), warm-up 3.

    H    outside  coef
    0.0  (warm-up)  0.1
    5.0  (warm-up)  0.1
    0.7  -0.3     0.1 + 0.03 = 0.13
    1.0   0       0.13        lower edge belongs to the dead zone
    1.5   0       0.13
    2.0   0       0.13        so does the upper
    2.4   0.4     0.13 - 0.04 = 0.09
    3.5   1.5     0.09 - 0.15 < 0.05 -> 0.05
    0.5  -0.5     0.05 + 0.05 = 0.10
    0.0  -1       0.10 + 0.10 = 0.20   at the ceiling
    0.9  -0.1     0.21 > 0.2 -> 0.2
    2.5   0.5     0.15        and off it again
    """
    band = Band(**RULE, warmup=3)  # as in the author's verl loop, the third update moves
    entropies = [0.0, 5.0, 0.7, 1.0, 1.5, 2.0, 2.4, 3.5, 0.5, 0.0, 0.9, 2.5]
    coefs = [0.1, 0.1, 0.13, 0.13, 0.13, 0.13, 0.09, 0.05, 0.10, 0.20, 0.20, 0.15]
    assert [band.update(h) for h in entropies] == pytest.approx(coefs, abs=1e-12)


def test_without_a_warm_up_the_first_update_moves():
    for warmup in (0, 1):
        assert Band(**RULE, warmup=warmup).update(0.5) == pytest.approx(0.15)
    assert Band(**RULE, warmup=2).update(0.5) == 0.1


@given(st.lists(st.floats(0, 12), max_size=40), st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_band_stays_in_its_box_rests_inside_and_moves_the_right_way(entropies, warmup):
    band = Band(**RULE, warmup=warmup)
    for number, entropy in enumerate(entropies):
        before, after = band.coef, band.update(entropy)
        assert 0.05 <= after <= 0.2
        if number + 1 < warmup or 1 <= entropy <= 2:
            assert after == before
        elif entropy < 1:
            assert after >= before
        else:
            assert after <= before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"low": 3.0}, r"low=3.0 above high=2.0"),
        ({"coef": 0.3}, r"coef=0.3 lies outside its box \[coef_min=0.05, coef_max=0.2\]"),
        ({"coef_min": 0.9}, "outside its box"),
        ({"lr": -0.1}, "lr=-0.1"),
        ({"warmup": -1}, "warmup=-1"),
        ({"high": math.nan}, "high=nan of Band must be a finite number"),
        ({"low": "0.1"}, "low='0.1' of Band must be a finite number"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(InputError, match=message):
        Band(**{**RULE, **change})
