"""What every controller promises: checkpoints, and an error if the policy has diverged."""

import json
import math
from dataclasses import fields, replace

import pytest

from aent.controllers import (
    CONTROLLERS,
    PI,
    Anchor,
    Band,
    Controller,
    Cosine,
    Doubling,
    Dual,
    Effect,
    Fixed,
    Foresighted,
    Gate,
    Lagrangian,
    Linear,
    Share,
    Sides,
    SignStep,
    Steps,
    Track,
)
from aent.errors import InputError

SIGN = {"level": 0.2, "target": 1.0, "delta": 0.1, "coef_min": 0.1, "coef_max": 0.35}
MAKE = {
    "Anchor": lambda: Anchor(level=0.1),
    "Band": lambda: Band(coef=0.1, low=1.0, high=2.0, lr=0.1, coef_min=0.05, coef_max=0.2, warmup=3),
    "Cosine": lambda: Cosine(start=0.1, end=0.0, steps=9),
    "Doubling": lambda: Doubling(coef=0.1, coef_min=0.01, coef_max=0.3),
    "Dual": lambda: Dual(coef=0.1, target=0.5, lr=0.3),
    "Fixed": lambda: Fixed(coef=0.1),
    "Gate": lambda: Gate(target=0.5),
    "Lagrangian": lambda: Lagrangian(coef=0.1, target=0.5, lr=0.3),
    "Linear": lambda: Linear(start=0.1, end=0.0, steps=9),
    "PI": lambda: PI(target=0.5, kp=1.0, ki=0.1),
    "Share": lambda: Share(coef=0.1, share=0.4, lr=0.3),
    "Sides": lambda: Sides(low=0.3, high=0.5, low_end=0.1, high_end=0.2, steps=9),
    "SignStep": lambda: SignStep(**SIGN),
    "Steps": lambda: Steps(coef=0.1, target=0.5, delta=0.1, coef_min=0.0, coef_max=0.3),
    "Track": Track,
}
MOVED_BY_ENTROPY = sorted(set(MAKE) - {"Cosine", "Fixed", "Linear"})


def moved(controller, entropy):
    if isinstance(controller, Foresighted):
        controller.foresee(Effect(pull=-0.1, push=0.5))
    return controller.update(entropy)


def test_all_rules_are_tried_here():
    assert set(MAKE) == {rule.__name__ for rule in CONTROLLERS.values()}


@pytest.mark.parametrize("seen", [0, 4])
@pytest.mark.parametrize("name", MAKE)
def test_state_goes_on_from_a_checkpoint_as_if_nothing_happened(name, seen):
    first, second = MAKE[name](), MAKE[name]()
    for entropy in (0.1, 0.8, 0.3, 0.4)[:seen]:
        moved(first, entropy)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert isinstance(first, Controller)
    assert first == second
    assert [moved(first, h) for h in (0.9, 3.0)] == [moved(second, h) for h in (0.9, 3.0)]


@pytest.mark.parametrize("name", MOVED_BY_ENTROPY)
def test_a_diverged_policy_is_named(name):
    with pytest.raises(InputError, match="entropy is nan"):
        MAKE[name]().update(math.nan)


SETTINGS = [
    (name, field.name)
    for name, make in MAKE.items()
    for field in fields(make())
    if field.init and isinstance(getattr(make(), field.name), int | float)
]


@pytest.mark.parametrize(("name", "setting"), SETTINGS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_every_setting_must_be_finite(name, setting, value):
    with pytest.raises(InputError):
        replace(MAKE[name](), **{setting: value})
