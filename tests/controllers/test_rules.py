"""Each rule on numbers worked out by hand, its errors, and its state through a checkpoint."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aent import Controller, InputError
from aent.controllers import (
    CONTROLLERS,
    PI,
    Anchor,
    Band,
    Cosine,
    Dual,
    Fixed,
    Gate,
    Lagrangian,
    Linear,
    Share,
    Sides,
    SignStep,
    Track,
)

SIGN = {"level": 0.2, "target": 1.0, "delta": 0.1, "coef_min": 0.1, "coef_max": 0.35}
MAKE = {
    "Anchor": lambda: Anchor(level=0.1),
    "Band": lambda: Band(coef=0.1, low=1.0, high=2.0, lr=0.1, coef_min=0.05, coef_max=0.2),
    "Cosine": lambda: Cosine(start=0.1, end=0.0, steps=9),
    "Dual": lambda: Dual(coef=0.1, target=0.5, lr=0.3),
    "Fixed": lambda: Fixed(coef=0.1),
    "Gate": lambda: Gate(target=0.5),
    "Lagrangian": lambda: Lagrangian(coef=0.1, target=0.5, lr=0.3),
    "Linear": lambda: Linear(start=0.1, end=0.0, steps=9),
    "PI": lambda: PI(target=0.5, kp=1.0, ki=0.1),
    "Share": lambda: Share(coef=0.1, share=0.4, lr=0.3),
    "Sides": lambda: Sides(low=0.3, high=0.5, low_end=0.1, high_end=0.2, steps=9),
    "SignStep": lambda: SignStep(**SIGN),
    "Track": Track,
}
MOVED_BY_ENTROPY = sorted(set(MAKE) - {"Cosine", "Fixed", "Linear"})


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


def test_anchor_is_the_first_measurement():
    rule = Anchor(level=0.005)
    assert (rule.coef, rule.band) == (0.0, None)
    assert [rule.update(h) for h in (1.5, 0.2, 9.0)] == [0.005] * 3
    assert rule.band == (1.5, 1.5)


@given(st.lists(st.floats(0, 12), max_size=40))
@settings(max_examples=50, deadline=None)
def test_levels_stay_in_their_box(entropies):
    sign, pi = SignStep(**SIGN), PI(target=0.4, kp=2.0, ki=0.5)
    for entropy in entropies:
        assert sign.update(entropy) in (0.0, sign.level)
        assert SIGN["coef_min"] <= sign.level <= SIGN["coef_max"]
        assert -1 <= pi.update(entropy) <= 1


def test_all_rules_are_tried_here():
    assert set(MAKE) == {rule.__name__ for rule in CONTROLLERS.values()}


@pytest.mark.parametrize("seen", [0, 4])
@pytest.mark.parametrize("name", MAKE)
def test_state_goes_on_from_a_checkpoint_as_if_nothing_happened(name, seen):
    first, second = MAKE[name](), MAKE[name]()
    for entropy in (0.1, 0.8, 0.3, 0.4)[:seen]:
        first.update(entropy)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert isinstance(first, Controller)
    assert first == second
    assert [first.update(h) for h in (0.9, 3.0)] == [second.update(h) for h in (0.9, 3.0)]


@pytest.mark.parametrize("name", MOVED_BY_ENTROPY)
def test_a_diverged_policy_is_named(name):
    with pytest.raises(InputError, match="entropy is nan"):
        MAKE[name]().update(math.nan)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linear(start=0.1, end=0.0, steps=0), "steps=0 of Linear must be at least 1"),
        (lambda: Cosine(start=math.inf, end=0.0, steps=1), "start=inf of Cosine must be a finite number"),
        (lambda: Dual(coef=-0.1, target=1.0, lr=0.1), "coef=-0.1 and lr=0.1 must not be negative"),
        (lambda: Lagrangian(coef=0.1, target=1.0, lr=-0.1), "lr=-0.1 must not be negative"),
        (lambda: Lagrangian(coef=0.1, target=math.nan, lr=0.1), "target=nan of Lagrangian"),
        (lambda: Share(coef=0.1, share=-0.4, lr=0.1), "share=-0.4 must not be negative"),
        (lambda: SignStep(**SIGN | {"level": 0.4}), "coef=0.4 lies outside its box"),
        (lambda: SignStep(**SIGN | {"delta": -0.1}), "delta=-0.1 must not be negative"),
        (lambda: PI(target=0.4, kp=1.0, ki=0.1, coef_min=0.1), "coef=0.0 lies outside its box"),
        (lambda: Anchor(level=math.nan), "level=nan of Anchor"),
        (lambda: Gate(target=math.inf), "target=inf of Gate"),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
