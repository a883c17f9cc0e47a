"""`Track` on numbers worked out by hand, and in a loop with a policy that is made of two lines."""

import math

import numpy as np
import pytest

from aent.controllers import Effect, Foresighted, Track
from aent.errors import InputError

HOLD = 0.1 / 0.5
"""The coefficient that undoes the pull of `fed`."""


def fed(entropies, pull=-0.1, push=0.5, remaining=1.0, strength=1.0):
    controller = Track(strength=strength)
    for entropy in entropies:
        controller.foresee(Effect(pull=pull, push=push, remaining=remaining))
        controller.update(entropy)
    return controller


def test_it_is_shown_effects():
    assert isinstance(Track(), Foresighted)


def test_it_measures_where_the_entropy_starts():
    settling = fed([0.8, 1.2, 1.0, 1.1, 0.9])
    assert settling.coef == 0
    assert settling.band == pytest.approx((0.25, 1.0))
    assert Track().band is None


@pytest.mark.parametrize(
    ("entropy", "share"),
    [(1.04, 0.0), (0.8, 0.0), (0.5, 0.0), (0.4, 0.25), (1 / 3, 0.5), (0.25, 1.0), (0.125, 3.0), (0.01, 4.0)],
)
def test_it_undoes_the_more_of_the_pull_the_less_is_left_below_half(entropy, share):
    """From a start at 1; at most four times the pull."""
    assert fed([1.0] * 5 + [entropy] * 40).coef == pytest.approx(share * HOLD)


@pytest.mark.parametrize(
    ("remaining", "entropy", "share"),
    [(0.5, 0.25, 0.0), (0.5, 0.2, 0.25), (0.5, 0.125, 1.0), (0.1, 0.05, 0.0), (0.0, 0.001, 0.0),
     (0.1, 1.075, -1.0)],
)  # fmt: skip
def test_what_it_holds_falls_with_the_training_that_is_left(remaining, entropy, share):
    """r / (2 H) - 1 from a start at 1; what lowers the entropy stays as it is."""
    controller = fed([1.0] * 5 + [entropy] * 60, remaining=remaining)
    assert controller.coef == pytest.approx(share * HOLD)
    assert controller.band == pytest.approx((remaining / 4, 1.0))


def test_it_takes_a_running_mean_of_the_entropy():
    """After two updates at .2, three quarters of the fall have arrived: .5 / .4 - 1 = .25."""
    assert fed([1.0] * 5 + [0.2] * 2).coef == pytest.approx(0.25 * HOLD)


@pytest.mark.parametrize("pull", [0.1, -0.1])
@pytest.mark.parametrize(("entropy", "share"), [(1.05, 0.0), (1.0625, 0.5), (1.075, 1.0), (2.0, 4.0)])
def test_it_pushes_the_entropy_down_from_a_twentieth_above_the_start_on(entropy, share, pull):
    assert fed([1.0] * 5 + [entropy] * 60, pull=pull).coef == pytest.approx(-share * HOLD)


@pytest.mark.parametrize(
    ("strength", "entropy", "share"),
    [(0, 0.25, 0.0), (0.5, 0.25, 0.5), (2, 0.4, 0.5), (2, 0.125, 4.0), (0, 1.075, -1.0), (2, 1.075, -1.0)],
)
def test_strength_multiplies_what_holds_the_entropy_and_not_what_lowers_it(strength, entropy, share):
    """Of (1 / (2 H) - 1): 1, 1, .25 and 3, the last one clipped; above the start always one pull."""
    assert fed([1.0] * 5 + [entropy] * 60, strength=strength).coef == pytest.approx(share * HOLD)


def test_an_update_without_its_effect_is_refused():
    controller = fed([1.0] * 6)
    with pytest.raises(InputError, match=r"without foresee\(effect\) before it"):
        controller.update(0.5)
    assert controller.updates == 6


def test_a_checkpoint_from_before_it_knew_what_is_left():
    state = Track().state_dict()
    del state["remaining"]
    with pytest.raises(InputError, match="no remaining of Track: another version of aent wrote it"):
        Track().load_state_dict(state)


@pytest.mark.parametrize("strength", [-0.1, math.nan, math.inf])
def test_a_strength_that_cannot_be(strength):
    with pytest.raises(InputError, match="0 or more"):
        Track(strength=strength)


def test_there_is_no_bonus_where_the_policy_gradient_raises_the_entropy_itself():
    assert fed([1.0] * 5 + [0.3] * 60, pull=0.1).coef == 0


def test_pull_and_push_are_running_means_of_ten_updates():
    """One pull of -1 among nine of 0 counts as .1, as in Adam, and their start at 0 cancels in the ratio."""
    controller = fed([1.0] * 5 + [0.25] * 40, pull=0.0)
    controller.foresee(Effect(pull=-1.0, push=0.5))
    assert controller.update(0.25) == pytest.approx(0.1 / 0.5, rel=0.02)


def test_units_do_not_matter():
    """Advantages 3 times as large want 3 times the coefficient, a bonus twice as strong half of it."""
    entropies = [1.0, 1.1, 0.9, 1.0, 1.0, 0.75, 0.4, 0.5, 0.3, 0.4]
    plain = fed(entropies).coef
    assert plain > 0
    assert fed(entropies, pull=-0.3).coef == pytest.approx(3 * plain)
    assert fed(entropies, push=1.0).coef == pytest.approx(plain / 2)
    assert fed([7 * h for h in entropies]).coef == pytest.approx(plain)


def test_without_a_push_or_an_entropy_it_rests():
    assert fed([1.0] * 5 + [0.3] * 9, push=0.0).coef == 0
    assert fed([0.0] * 9).coef == 0
    assert fed([0.0] * 5 + [0.3] * 9, pull=0.1).coef == 0


@pytest.mark.parametrize("rate", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("mistaken", [0.6, 1.0, 1.4])
def test_it_settles_a_noisy_lagging_policy_without_swinging(rate, mistaken):
    """A policy gradient that would cost 2 % of the entropy per step, a bonus stronger or weaker than said.

    As in training, the optimiser remembers ten steps, pull and entropy are measured with noise, and the
    learning rate falls to 0. The policy gradient alone leaves 40 % of the entropy, 5 % and nothing, by the
    learning rate; with the bonus the means of ten stay above 15 %, and the coefficient never falls
    back by a quarter of its height from one 25 steps to the next.
    """
    rng, controller, entropy, moved, coefs, kept = np.random.default_rng(0), Track(), 0.6, 0.0, [], []
    for step in range(300):
        pull = -0.005 + 0.0045 * rng.standard_normal()
        controller.foresee(Effect(pull=pull, push=0.08))
        controller.update(entropy * (1 + 0.05 * rng.standard_normal()))
        moved = 0.9 * moved + 0.1 * (pull + mistaken * 0.08 * controller.coef) / 0.005
        entropy *= math.exp(0.02 * rate * (1 - step / 300) * moved)
        coefs.append(controller.coef)
        kept.append(entropy / controller.start)
    windows = np.array(kept[20:]).reshape(-1, 10).mean(1)
    assert windows.min() > 0.15
    assert windows.max() < 1.05
    tens = np.array(coefs).reshape(-1, 25).mean(1)
    assert tens[-1] > 0
    assert np.diff(tens).min() > -0.25 * tens.max()
