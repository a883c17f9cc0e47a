"""What is printed to paste is accepted where it is pasted."""

import ast
import re
from dataclasses import fields

import numpy as np
import pytest

from aent.diagnosis.advice import ADVICE, advice
from aent.diagnosis.findings import Finding, findings
from aent.diagnosis.movement import entropy_movement
from aent.methods.load import load_method
from aent.spec import read_yaml

VERL = (
    "trainer.v1.trainer_mode",
    "aent.method",
    "actor_rollout_ref.actor.strategy",
    "actor_rollout_ref.actor.optim.lr",
    "actor_rollout_ref.actor.optim.clip_grad",
    "actor_rollout_ref.rollout.n",
    "data.max_response_length",
)
"""Options of verl 0.9.1's ``ppo_trainer`` and of aent's plugin."""


AUTO = {
    "aent_method": "aent-auto",
    "lr_scheduler_type": "warmup_stable_decay",
    "lr_scheduler_kwargs": {"num_decay_steps": 60, "decay_type": "linear"},
}
"""aent-auto, with a learning rate that falls in the last fifth of the steps that were logged."""


def of(rows):
    entropy = entropy_movement(rows)
    return advice(rows, entropy, findings(rows, entropy))


def arguments(one):
    """The arguments for TRL, read as Python reads them."""
    call = ast.parse(f"f({', '.join(one.trl)})", mode="eval").body
    return {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}


def test_a_healthy_run_keeps_its_settings(run):
    assert of(run("steady")) == []


@pytest.mark.parametrize("kind", ["collapsed", "falling"])
def test_a_falling_entropy_is_held_by_a_method_without_settings(run, kind):
    (first, *_) = of(run(kind))
    assert arguments(first) == AUTO
    assert first.verl == (
        "trainer.v1.trainer_mode=aent_sync",
        "+aent.method=aent-auto",
        "actor_rollout_ref.actor.strategy=fsdp2",
    )


def test_a_collapsed_run_restarts_before_half_of_the_entropy_was_gone(run):
    rows = run("collapsed")
    assert f"before step {entropy_movement(rows).half_step:g}." in of(rows)[0].why


def test_too_strong_a_bonus_is_halved_where_the_entropy_left_its_start(run):
    """H = 0.8 exp(t / 30): a tenth above the mean of its first six rows near t = 6, where coef is 0.006."""
    rows = run("exploded", **{"aent/coef": np.arange(60) * 1e-3})
    (first, *_) = of(rows)
    method = load_method(read_yaml(arguments(first)["aent_method"]))
    start = entropy_movement(rows).start
    left = next(r["aent/coef"] for r in rows if r["entropy"] > 1.1 * start and r["aent/coef"] > 0)
    assert method.controller.coef_max == pytest.approx(left / 2, rel=0.01)
    assert method.controller.band == pytest.approx((0.65 * start, start), rel=0.01)
    assert first.verl[1] == f"'+aent.method={arguments(first)['aent_method']}'"


def test_an_explosion_without_a_bonus_is_pushed_down(run):
    assert arguments(of(run("exploded"))[0])["aent_method"] == "aent-auto"


def test_nan_comes_first_and_halves_the_learning_rate(run):
    (first, *_) = of(run("collapsed", loss=np.r_[np.zeros(50) + 0.1, np.full(10, np.nan)]))
    assert arguments(first) == {"learning_rate": 5e-7, "max_grad_norm": 0.2}


def test_one_change_for_several_findings_is_printed_once(run):
    found = [Finding(name, "", "") for name in ("divergence", "clipping", "gradient-spikes")]
    assert len(advice(run("steady"), None, found)) == 1


@pytest.mark.parametrize("name", ["not-finite", *ADVICE])
def test_every_argument_is_one_of_trl_and_every_option_one_of_verl(run, name):
    from aent.trl import AEntGRPOConfig

    (one,) = advice(run("steady"), None, [Finding(name, "", "")])
    assert arguments(one).keys() <= {field.name for field in fields(AEntGRPOConfig)}
    for option in one.verl:
        assert re.match(r"'?\+?[\w.]+=", option)
        assert option.strip("'+").partition("=")[0] in VERL


def test_no_band_is_placed_by_a_start_of_0(run):
    (one,) = of(run(np.r_[np.zeros(6), np.linspace(0.1, 0.4, 54)], **{"aent/coef": 0.05}))
    assert arguments(one)["aent_method"] == "aent-auto"


def test_what_is_not_finite_is_not_advised(run):
    broken = np.r_[np.nan, np.inf, np.full(58, 100.0)]
    rows = run("exploded", loss=broken, learning_rate=1e-8 * broken, **{"aent/coef": np.inf})
    assert [arguments(one) for one in of(rows)][:2] == [
        {"learning_rate": 5e-7, "max_grad_norm": 0.2},
        AUTO,
    ]
    rows = run("steady", **{"completions/mean_length": broken, "completions/clipped_ratio": 0.9})
    assert 200 in [arguments(one).get("max_completion_length") for one in of(rows)]
