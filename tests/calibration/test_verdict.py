import pytest

from aent.calibration.reading import Reading
from aent.calibration.verdict import bites, verdict
from aent.statistics import Figure


def reading(entropy=1.8, dropped=0.0, pull=(-0.01, 0.001), push=0.04, size=0.5):
    return Reading(
        entropy=Figure(entropy, 0.01),
        dropped=Figure(dropped, 0.0),
        pull=Figure(*pull),
        push=Figure(push, 0.001),
        hold=Figure(-pull[0] / push, 0.01),
        size=size,
        prompts=16,
    )


READINGS = {
    "full": reading(),
    "drop-33": reading(entropy=1.7998, dropped=7e-6),
    "nucleus-95": reading(entropy=1.5, dropped=0.05),
}


def test_a_subset_bites_if_its_entropy_is_another():
    assert [bites(READINGS, name) for name in READINGS] == [False, False, True]


def test_a_clamp_that_clamps_nothing_is_told_with_those_that_do():
    clamping, _ = verdict(READINGS, "drop-33")
    assert "leaves out 0.0007 % of the probability; its entropy is 0.0002 nats from the full one" in clamping
    assert "clamps next to nothing on this policy. Those that clamp: nucleus-95" in clamping
    clamping, _ = verdict(READINGS, "nucleus-95")
    assert "next to nothing" not in clamping


def test_a_published_coefficient_against_the_pull():
    """.002 * .04 = 8e-5 against a pull of .01: .8 %; in length .002 * .2 / .5 = .08 %."""
    _, coefficients = verdict(READINGS, "full")
    assert "moves nothing that would be noticed here: 0.002 changes the entropy by 0.8 % of the pull" in (
        coefficients
    )
    assert "its range 0.0006 to 0.009 by 0.24 to 3.6 %" in coefficients
    assert "0.024, 0.08 and 0.36 % of the length" in coefficients


def test_a_published_coefficient_that_moves():
    _, coefficients = verdict({"full": reading(pull=(-0.001, 0.0001))}, "full")
    assert "The paper's coefficient moves here: 0.002 changes the entropy by 8 %" in coefficients


def test_an_uncertain_pull_counts_as_the_most_it_may_be():
    """.01 + 2 * .01 = .03: 8e-5 is .27 % of it."""
    _, coefficients = verdict({"full": reading(pull=(-0.01, 0.01))}, "full")
    assert "by 0.27 % of the most that the pull may be (it is not clearly different from 0)" in coefficients


def test_large_shares_have_no_exponent():
    """.009 * .04 = 3.6e-4 is 360 % of a pull of 1e-4."""
    _, coefficients = verdict({"full": reading(pull=(-0.0001, 0.00001))}, "full")
    assert "its range 0.0006 to 0.009 by 24 to 360 %" in coefficients


@pytest.mark.parametrize("subset", ["full", "drop-33"])
def test_without_rewards_there_is_nothing_to_compare_with(subset):
    still = {name: reading(pull=(0.0, 0.0)) for name in READINGS}
    assert "no policy gradient" in verdict(still, subset)[1]
