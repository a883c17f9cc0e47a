import pytest

from aent import Cosine, InputError, load_method

SPEC = {"name": "cosine-bonus", "steps": 100}


def test_defaults():
    """From A3C's customary 0.01 to none."""
    assert load_method(SPEC).controller == Cosine(start=0.01, end=0.0, steps=100)


def test_by_hand(check_classic_bonus):
    check_classic_bonus(load_method(SPEC))


def test_the_length_must_be_given():
    with pytest.raises(InputError, match=r"cosine-bonus.* needs steps: no value was published"):
        load_method("cosine-bonus")
