"""`Track` on numbers worked out by hand, and in a loop with a policy that is made of two lines."""

import math

import numpy as np
import pytest

from aent import InputError
from aent.controllers import Effect, Foresighted, Track


def fed(entropies, pull=-0.1, push=0.5, progress=0.0, **settings):
    controller = Track(**settings)
    for entropy in entropies:
        controller.foresee(Effect(pull=pull, push=push, progress=progress))
        controller.update(entropy)
    return controller


def test_it_is_shown_effects():
    assert isinstance(Track(), Foresighted)


def test_at_the_target_it_undoes_the_pull():
    """-pull / push = 0.1 / 0.5, from the sixth update on; the target is the mean of the first five."""
    settling = fed([0.8, 1.2, 1.0, 1.1, 0.9])
    assert settling.coef == 0
    assert settling.band == pytest.approx((1.0, 1.0))
    assert fed([0.8, 1.2, 1.0, 1.1, 0.9, 1.0]).coef == pytest.approx(0.2)


@pytest.mark.parametrize(("progress", "target"), [(0.0, 2.0), (0.2, 1.64), (0.5, 1.25), (1.0, 1.0)])
def test_the_target_falls_to_half_with_what_is_left_of_a_decaying_learning_rate(progress, target):
    controller = fed([2.0] * 5 + [0.5] * 20, progress=progress)
    assert controller.band == pytest.approx((target, 2.0))
    assert fed([2.0] * 5 + [0.5] * 20, progress=1.0, end=0.8).target == pytest.approx(1.6)


def test_it_lets_go_and_does_not_push():
    """Above its target the entropy meets a coefficient of 0, not one below it."""
    assert fed([1.0] * 12, progress=0.02).coef > 0
    assert fed([1.0] * 12, progress=0.9).coef == 0
    assert fed([1.0] * 5 + [1.5] * 12).coef == 0


def test_the_answer_to_a_first_error():
    """e = 0.1: fast .05, slow .007, sum .01; answer 3 * .05 + 10 * .043 + .01 = .59, times the pull 0.1."""
    assert fed([1.0] * 5 + [0.9]).coef == pytest.approx((0.1 + 0.1 * 0.59) / 0.5)
    assert fed([1.0] * 5 + [1.1]).coef == pytest.approx((0.1 - 0.1 * 0.59) / 0.5)
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
    learning rate falls to 0. From 20 steps on the means of ten are never 15 % below the target, nor a
    quarter above it but where the policy gradient alone would end there.
    """
    rng, controller, entropy, moved, coefs, off = np.random.default_rng(0), Track(), 0.6, 0.0, [], []
    for step in range(300):
        pull = -0.005 + 0.0045 * rng.standard_normal()
        controller.foresee(Effect(pull=pull, push=0.08, progress=step / 300))
        controller.update(entropy * (1 + 0.05 * rng.standard_normal()))
        moved = 0.9 * moved + 0.1 * (pull + mistaken * 0.08 * controller.coef) / 0.005
        entropy *= math.exp(0.02 * rate * (1 - step / 300) * moved)
        coefs.append(controller.coef)
        off.append(entropy / controller.target - 1)
    windows = np.array(off[20:]).reshape(-1, 10).mean(1)
    assert windows.min() > -0.15
    assert windows.max() < 0.25 or rate == 0.3
    assert 0 <= np.mean(coefs[50:]) < 3 * 0.005 / 0.08
    assert np.std(np.diff(np.array(coefs[50:]).reshape(-1, 25).mean(1))) < 0.04


def test_a_target_of_nothing_is_refused():
    with pytest.raises(InputError, match=r"end=0 of Track must be above 0"):
        Track(end=0)
