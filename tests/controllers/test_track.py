"""`Track` on numbers worked out by hand, and in a loop with a policy that is made of two lines."""

import math

import numpy as np
import pytest

from aent import InputError
from aent.controllers import Effect, Foresighted, Track


def fed(entropies, pull=-0.1, push=0.5, **settings):
    controller = Track(**settings)
    for entropy in entropies:
        controller.foresee(Effect(pull=pull, push=push))
        controller.update(entropy)
    return controller


def test_it_is_shown_effects():
    assert isinstance(Track(), Foresighted)


def test_far_above_the_floor_it_undoes_a_share_of_the_pull():
    """A quarter of 0.1 / 0.5, from the sixth update on; the floor is half the mean of the first five."""
    settling = fed([0.8, 1.2, 1.0, 1.1, 0.9])
    assert settling.coef == 0
    assert settling.band == pytest.approx((0.5, 1.0))
    assert fed([1.0] * 12).coef == pytest.approx(0.25 * 0.1 / 0.5)
    assert fed([1.0] * 12, share=0.5).coef == pytest.approx(0.5 * 0.1 / 0.5)
    assert fed([1.0] * 12, share=0.0).coef == 0
    assert fed([1.0] * 12, end=0.8).band == pytest.approx((0.8, 1.0))


def test_at_the_floor_it_undoes_all_of_it():
    assert fed([1.0] * 5 + [0.5]).coef == pytest.approx(0.1 / 0.5)
    assert fed([1.0] * 5 + [1.0] * 50 + [0.5] * 150).coef == pytest.approx(0.1 / 0.5, rel=0.01)


def test_it_does_not_push_down():
    """Where the policy gradient itself raises the entropy, the coefficient is 0, not one below it."""
    assert fed([1.0] * 12, pull=0.1).coef == 0
    assert fed([1.0] * 5 + [1.5] * 12, end=1.0, share=0.0).coef == 0


def test_the_answer_to_a_first_error():
    """e = 0.1: fast .05, slow .007, sum .01; answer 3 * .05 + 10 * .043 + .01 = .59, times the pull 0.1."""
    assert fed([1.0] * 5 + [0.9], end=1.0).coef == pytest.approx((0.1 + 0.1 * 0.59) / 0.5)
    assert fed([1.0] * 5 + [1.1], end=1.0).coef == pytest.approx((0.1 - 0.1 * 0.58) / 0.5)  # the sum stays 0
    assert fed([1.0] * 5 + [1e-9] * 9).coef == pytest.approx((0.1 + 0.1 * 4) / 0.5)  # no answer is beyond 4


def test_units_do_not_matter():
    """Advantages 3 times as large want 3 times the coefficient, a bonus twice as strong half of it."""
    entropies = [1.0, 1.1, 0.9, 1.0, 1.0, 0.95, 0.8, 0.9, 1.0, 1.2]
    plain = fed(entropies).coef
    assert fed(entropies, pull=-0.3).coef == pytest.approx(3 * plain)
    assert fed(entropies, push=1.0).coef == pytest.approx(plain / 2)
    assert fed([7 * h for h in entropies]).coef == pytest.approx(plain)


def test_without_a_push_or_an_entropy_it_rests():
    assert fed([1.0] * 9, push=0.0).coef == 0
    assert fed([0.0] * 9).coef == 0


@pytest.mark.parametrize("rate", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("mistaken", [0.6, 1.0, 1.4])
def test_it_holds_a_noisy_lagging_policy_without_swinging(rate, mistaken):
    """A policy gradient that would cost 2 % of the entropy per step, a bonus stronger or weaker than said.

    As in training, the optimiser remembers ten steps, pull and entropy are measured with noise, and the
    learning rate falls to 0. From 20 steps on the means of ten are never 15 % below the floor, which the
    policy gradient alone would break through by half or more, and settle within a fifth of it or above.
    """
    rng, controller, entropy, moved, coefs, off = np.random.default_rng(0), Track(), 0.6, 0.0, [], []
    for step in range(300):
        pull = -0.005 + 0.0045 * rng.standard_normal()
        controller.foresee(Effect(pull=pull, push=0.08))
        controller.update(entropy * (1 + 0.05 * rng.standard_normal()))
        moved = 0.9 * moved + 0.1 * (pull + mistaken * 0.08 * controller.coef) / 0.005
        entropy *= math.exp(0.02 * rate * (1 - step / 300) * moved)
        coefs.append(controller.coef)
        off.append(entropy / controller.floor - 1)
    windows = np.array(off[20:]).reshape(-1, 10).mean(1)
    assert windows.min() > -0.15
    assert windows[-1] < 0.35 or rate == 0.3
    assert 0 <= np.mean(coefs[50:]) < 3 * 0.005 / 0.08
    assert np.std(np.diff(np.array(coefs[50:]).reshape(-1, 25).mean(1))) < 0.04


def test_a_target_of_nothing_is_refused():
    with pytest.raises(InputError, match=r"end=0 of Track must be above 0"):
        Track(end=0)


def test_a_negative_share_is_refused():
    with pytest.raises(InputError, match=r"share=-0.1 of Track must be at least 0"):
        Track(share=-0.1)
