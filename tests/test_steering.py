"""From the sums of a window to the next coefficient, as every host does it."""

import json

import pytest
import torch

from aent import InputError, Method, Steering, Sums, load_method, window_sums
from aent.controllers import Band, Effect, Fixed
from aent.method import Tokens
from aent.ops import EntropySlopes

AENT = {"name": "aent", "low": 2.9, "high": 3.2, "coef": 0.01, "coef_max": 0.1, "lr": 0.05, "warmup": 0}


def sums(**named):
    """Sums over a window; those not named are 0."""
    return Sums(**{name: float(named.get(name, 0)) for name in Sums._fields})


class Seer(Fixed):
    """A controller that notes in which order it is told what."""

    def __post_init__(self):
        self.told = []

    def foresee(self, effect):
        self.told.append(effect)

    def update(self, entropy):
        self.told.append(entropy)
        return self.coef


def test_the_coefficient_follows_the_rule():
    """0.01 - 0.05 * (2.8 - 2.9) = 0.015, with H = 308 / 110."""
    steering = Steering(load_method(AENT))
    assert steering.metrics() == {"aent/coef": 0.01, "aent/low": 2.9, "aent/high": 3.2}
    steering.update(sums(entropy=308, weight=110), remaining=1.0)
    assert steering.coef == pytest.approx(0.015)
    assert steering.last_entropy == pytest.approx(2.8)


def test_the_effect_comes_before_the_entropy_with_what_remains():
    steering = Steering(Method(name="seer", controller=Seer(coef=0.1)))
    steering.update(sums(entropy=11, weight=5, pull=-0.5, push=0.75), remaining=0.25)
    assert steering.controller.told == [Effect(pull=-0.5, push=0.75, remaining=0.25), 11 / 5]


def test_a_window_without_weights_moves_nothing():
    steering = Steering(Method(name="seer", controller=Seer(coef=0.1)))
    steering.update(sums(full_entropy=6, tokens=2), remaining=1.0)
    assert steering.controller.told == []
    assert steering.last_entropy is None


def test_without_a_controller_there_is_nothing_to_log_or_move():
    steering = Steering(Method(name="none"))
    steering.update(sums(entropy=2, weight=1), remaining=1.0)
    assert (steering.coef, steering.band, steering.last_entropy, steering.metrics()) == (0.0, None, None, {})


def test_means_are_logged_where_there_is_something_to_average():
    """11 nats over weights of 5; 14 over 7 tokens."""
    assert sums(entropy=11, weight=5, full_entropy=14, tokens=7).metrics() == {
        "aent/entropy": 2.2,
        "aent/full_entropy": 2.0,
    }
    assert sums(full_entropy=14, tokens=7).metrics() == {"aent/full_entropy": 2.0}
    assert sums().metrics() == {}


def test_the_method_keeps_its_own_controller():
    method = load_method(AENT)
    steering = Steering(method)
    steering.update(sums(entropy=2, weight=1), remaining=1.0)
    assert steering.coef > 0.01 == method.controller.coef


def test_state_is_kept_in_json():
    steering = Steering(load_method(AENT))
    steering.update(sums(entropy=2, weight=1), remaining=1.0)
    again = Steering(load_method(AENT))
    again.load_state_dict(json.loads(json.dumps(steering.state_dict())))
    assert (again.coef, again.last_entropy) == (steering.coef, 2.0)
    assert isinstance(again.controller, Band)
    assert again.controller.updates == 1
    with pytest.raises(InputError, match="written by method 'aent', not 'none'"):
        Steering(load_method("none")).load_state_dict(steering.state_dict())


def test_what_a_micro_batch_adds():
    """Two tokens count. Entropies 1 + 2 (clamped) and 3 + 4; pull (1 * .5 + 2 * -.25) / 2 = 0; push with
    the weights of aent-auto, half of the entropy gone, 1 - r s = 1 - .5 * .5 = .75: .75 * (1 + 3) / 2 = 1.5.
    """
    tokens = Tokens(
        logp=torch.zeros(1, 3),
        old_logp=torch.zeros(1, 3),
        entropy=torch.tensor([[1.0, 2.0, 9.0]], requires_grad=True),
        full_entropy=torch.tensor([[3.0, 4.0, 9.0]]),
        advantages=torch.tensor([[1.0, 2.0, 9.0]]),
        mask=torch.tensor([[1.0, 1.0, 0.0]]),
        solved=torch.tensor([0.5]),
        remaining=0.5,
        last_entropy=1.0,
        band=(0.5, 2.0),
        slopes=EntropySlopes(
            target=torch.tensor([[0.5, 0.0, 9.0]]),
            mean=torch.tensor([[0.0, 0.25, 9.0]]),
            square=torch.tensor([[1.0, 3.0, 9.0]]),
        ),
    )

    def mean(values):
        return (values * tokens.mask).sum() / 2

    added = window_sums(load_method("aent-auto"), tokens, host_mean=mean, count=2.0)
    expected = sums(entropy=3, full_entropy=7, weight=2, tokens=2, pull=0, push=1.5)
    assert Sums(*(x.item() for x in added)) == expected
    assert not any(x.requires_grad for x in added)
