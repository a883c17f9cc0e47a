"""From the sums over a training step to the next coefficient."""

import pytest

from aent import InputError, load_method
from aent.steering import Sums
from aent.verl.window import PREFIX, Window

AENT = {"name": "aent", "low": 2.9, "high": 3.2, "coef": 0.01, "coef_max": 0.1, "lr": 0.05, "warmup": 0}


def metrics(**sums):
    """What verl hands to the driver after one update of the actor."""
    return {PREFIX + name: sums.get(name, 0.0) for name in Sums._fields}


def test_the_coefficient_follows_the_rule_once_per_step():
    """0.01 - 0.05 * (2.8 - 2.9) = 0.015, with H = (280 + 28) / (100 + 10) over two updates of the actor."""
    window = Window(load_method(AENT))
    first = {**metrics(entropy=280.0, weight=100.0, full_entropy=300.0, tokens=100.0), "actor/lr": 1.0}
    window.take(first)
    window.take(metrics(entropy=28.0, weight=10.0, full_entropy=36.0, tokens=10.0))
    assert first == {"actor/lr": 1.0}  # our sums are not logged
    logged = window.close(remaining=1.0)
    assert logged == pytest.approx(
        {
            "aent/coef": 0.01,  # the one in force during the step
            "aent/low": 2.9,
            "aent/high": 3.2,
            "aent/entropy": 2.8,
            "aent/full_entropy": 336 / 110,
        }
    )
    assert window.coef == pytest.approx(0.015)
    assert window.last_entropy == pytest.approx(2.8)
    assert window.close(remaining=1.0).keys() == {"aent/coef", "aent/low", "aent/high"}  # nothing measured
    assert window.coef == pytest.approx(0.015)


def test_weights_that_leave_out_all_tokens_do_not_move_the_coefficient():
    window = Window(load_method(AENT))
    window.take(metrics(full_entropy=3.0, tokens=1.0))
    assert "aent/entropy" not in window.close(remaining=1.0)
    assert window.coef == 0.01


def test_the_effects_of_a_step_are_added_up():
    window = Window(load_method("aent-auto"))
    window.take(metrics(entropy=1.0, weight=1.0, tokens=1.0, pull=-2.0, push=3.0))
    window.take(metrics(entropy=1.0, weight=1.0, tokens=1.0, pull=-1.0, push=1.0))
    window.close(remaining=0.25)
    track = window.controller
    assert (track.pull, track.push, track.remaining) == pytest.approx((0.1 * -3, 0.1 * 4, 0.25))


def test_workers_without_aent_stop_the_run():
    with pytest.raises(InputError, match=r"reported no actor/aent/entropy, .*install the same aent on every"):
        Window(load_method(AENT)).take({"actor/lr": 1.0})
