"""Switches by hand, with edges that stay and edges that move."""

import math

import pytest

from aent.controllers import Gate, Sides
from aent.errors import InputError


def test_gate_opens_strictly_below_its_target():
    """STARE acts while H < H*: closed before the first measurement and at the target itself."""
    gate = Gate(target=0.3)
    assert gate.coef == 0
    assert [gate.update(h) for h in (0.29, 0.3, 0.31, 0.0)] == [1, 0, 0, 1]
    assert gate.band == (0.3, 0.3)


def test_sides_of_a_band_that_stays():
    """-1 below 0.4, 1 above 0.5; the edges belong to the middle."""
    sides = Sides(low=0.4, high=0.5)
    assert sides.coef == 0
    assert [sides.update(h) for h in (0.39, 0.4, 0.45, 0.5, 0.51)] == [-1, 0, 0, 0, 1]
    assert sides.band == (0.4, 0.5)


def test_sides_of_a_band_that_moves():
    """Entrocraft's edges over 4 updates, each entropy held against the band before its update:

    done   0        1         2        3         4        5
    low    0.6      0.55      0.5      0.45      0.4      0.4
    high   0.7      0.65      0.6      0.55      0.5      0.5
    H      0.58     0.58      0.62     0.44      0.52     0.45
    coef   -1       0         1        -1        1        0
    """
    sides = Sides(low=0.6, high=0.7, low_end=0.4, high_end=0.5, steps=4)
    bands, coefs = [], []
    for entropy in (0.58, 0.58, 0.62, 0.44, 0.52, 0.45):
        bands.append(sides.band)
        coefs.append(sides.update(entropy))
    assert coefs == [-1, 0, 1, -1, 1, 0]
    assert [low for low, _ in bands] == pytest.approx([0.6, 0.55, 0.5, 0.45, 0.4, 0.4])
    assert [high for _, high in bands] == pytest.approx([0.7, 0.65, 0.6, 0.55, 0.5, 0.5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"low": 0.8}, "low=0.8 above high=0.7"),
        ({"low_end": 0.4, "high_end": 0.3, "steps": 5}, "low=0.4 above high=0.3"),
        ({"low_end": 0.4}, "go together"),
        ({"steps": 3}, "go together"),
        ({"low_end": 0.4, "high_end": 0.5}, "go together"),
        ({"low_end": 0.4, "high_end": 0.5, "steps": -1}, "steps=-1"),
        ({"low_end": "low", "high_end": 0.5, "steps": 1}, "low_end='low' of Sides must be a finite number"),
        ({"low": None}, "low=None of Sides"),
    ],
)
def test_bad_edges_are_named(change, message):
    with pytest.raises(InputError, match=message):
        Sides(**{"low": 0.6, "high": 0.7} | change)


def test_a_target_that_is_no_number_is_named():
    with pytest.raises(InputError, match="target=inf of Gate"):
        Gate(target=math.inf)


@pytest.mark.parametrize("controller", [Gate(target=0.3), Sides(low=0.1, high=0.2)], ids=str)
def test_a_diverged_policy_is_named(controller):
    with pytest.raises(InputError, match="entropy is inf"):
        controller.update(float("inf"))
