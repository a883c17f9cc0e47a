"""Steps and doublings towards a target, by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aent.controllers import Doubling, Steps
from aent.errors import InputError

STEPS = {"coef": 0.2, "target": 1.0, "delta": 0.1, "coef_min": 0.0, "coef_max": 0.35}
DOUBLING = {"coef": 0.1, "coef_min": 0.04, "coef_max": 0.3}


def test_steps_by_hand():
    """Up below the target, down above it, still at it; 0.4 is above the ceiling, -0.05 below the floor."""
    rule = Steps(**STEPS)
    coefs = [rule.update(entropy) for entropy in (0.9, 0.1, 1.0, 1.1, 9.0, 9.0, 9.0, 0.5)]
    assert coefs == pytest.approx([0.3, 0.35, 0.35, 0.25, 0.15, 0.05, 0.0, 0.1])
    assert rule.band == (1.0, 1.0)


def test_doubling_by_hand():
    rule = Doubling(**DOUBLING, target=1.0)
    assert rule.band == (1.0, 1.0)
    coefs = [rule.update(entropy) for entropy in (0.9, 0.1, 1.0, 1.1, 9.0, 9.0, 9.0, 0.5)]
    assert coefs == pytest.approx([0.2, 0.3, 0.3, 0.15, 0.075, 0.04, 0.04, 0.08])


def test_without_a_target_the_first_entropy_is_it():
    rule = Doubling(**DOUBLING)
    assert rule.band is None
    assert [rule.update(entropy) for entropy in (2.0, 1.9, 2.1, 2.0)] == pytest.approx([0.1, 0.2, 0.1, 0.1])
    assert rule.band == (2.0, 2.0)
    restored = Doubling(**DOUBLING)
    restored.load_state_dict(rule.state_dict())
    assert restored.update(1.9) == pytest.approx(0.2)


@given(st.lists(st.floats(0, 12), max_size=40))
@settings(max_examples=50, deadline=None)
def test_both_stay_in_their_boxes(entropies):
    steps, doubling = Steps(**STEPS), Doubling(**DOUBLING)
    for entropy in entropies:
        assert 0.0 <= steps.update(entropy) <= 0.35
        assert 0.04 <= doubling.update(entropy) <= 0.3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Steps(**STEPS | {"delta": -0.1}), "delta=-0.1 must not be negative"),
        (lambda: Steps(**STEPS | {"coef": 1.0}), "coef=1.0 lies outside its box"),
        (lambda: Doubling(**DOUBLING | {"coef_min": 0.0}), "coef_min=0.0 must be above 0"),
        (lambda: Doubling(**DOUBLING | {"coef": 1.0}), "coef=1.0 lies outside its box"),
        (lambda: Doubling(**DOUBLING, target=float("inf")), "target=inf of Doubling"),
    ],
)
def test_bad_settings_say_what_is_allowed(make, message):
    with pytest.raises(InputError, match=message):
        make()
