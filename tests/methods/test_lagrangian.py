import pytest

from aent import InputError, Lagrangian, load_method

SPEC = {"name": "lagrangian", "target": 0.5, "coef": 0.01, "lr": 0.1}


def test_controller():
    assert load_method(SPEC).controller == Lagrangian(coef=0.01, target=0.5, lr=0.1)


def test_by_hand(check_classic_bonus):
    check_classic_bonus(load_method(SPEC))


def test_what_was_not_published_must_be_given():
    with pytest.raises(InputError, match=r"lagrangian.* needs target, coef, lr: no value was published"):
        load_method("lagrangian")
