"""The methods of `aent.methods.coefficient` and `nucleus` in training: off, on, resumed, against TRL."""

import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from stepping import logged, weights
from trl import GRPOConfig, GRPOTrainer

from aent.trl import AEntGRPOConfig, AEntGRPOTrainer

NO_END = {"generation_kwargs": {"suppress_tokens": [0, 1]}}  # all completions are as long as they may be


def with_losses(trainer):
    """Train, and return the loss of every micro-batch."""
    losses, compute = [], trainer._compute_loss

    def kept(model, inputs):
        loss = compute(model, inputs)
        losses.append(loss.item())
        return loss

    trainer._compute_loss = kept
    trainer.train()
    return losses


@pytest.mark.parametrize("accumulation", [1, 2])
def test_skywork_is_trls_adaptive_entropy(accumulation, build, options):
    """20 steps with a target that the entropy crosses, so that the gate opens and shuts."""
    target, delta, ceiling = 3.985, 0.02, 0.05
    options |= NO_END | {
        "max_steps": 20,
        "max_completion_length": 4,
        "gradient_accumulation_steps": accumulation,
        "per_device_train_batch_size": 16 // accumulation,
    }
    theirs = build(
        GRPOTrainer,
        GRPOConfig,
        options
        | {
            "use_adaptive_entropy": True,
            "entropy_target": target,
            "entropy_coef_delta": delta,
            "entropy_coef_max": ceiling,
        },
    )
    their_losses = with_losses(theirs)
    method = {"name": "skywork", "target": target, "delta": delta, "coef_max": ceiling}
    ours = build(AEntGRPOTrainer, AEntGRPOConfig, options, method=method)
    levels = []
    step_end = ours._aent_step_end

    def noted():
        step_end()
        levels.append(ours.controller.level)

    ours._aent_step_end = noted
    our_losses = with_losses(ours)
    in_force = logged(ours, "aent/coef")
    assert 0 in in_force[1:]  # the gate shut again
    assert ceiling in in_force
    assert levels == logged(theirs, "entropy_coef")
    assert our_losses == pytest.approx(their_losses, abs=1e-6)


OFF = {
    "linear-bonus": {"start": 0.0, "steps": 2},
    "cosine-bonus": {"start": 0.0, "steps": 2},
    "sac": {"target": 4.0, "coef": 0.0, "lr": 0.1},
    "lagrangian": {"target": 9.0, "coef": 0.0, "lr": 0.0},
    "skywork": {"target": 9.0, "delta": 0.0},
    "aer": {"coef": 0.0, "lr": 0.0, "easy": 0.5, "hard": 1.0},
    "entropic": {"kp": 0.0, "ki": 0.0, "probability": 0.1},
    "siren": {"coef": 0.0},
}
"""Each with the parameters that turn it off, all others so that it would act."""


@pytest.fixture(scope="module")
def plain():
    """What plain TRL makes of the same three steps, made once."""
    return {}


@pytest.mark.parametrize("name", OFF)
def test_turned_off_it_is_trl_bit_for_bit(name, build, options, plain):
    options |= {"max_completion_length": 4}
    if not plain:
        theirs = build(GRPOTrainer, GRPOConfig, options)
        theirs.train()
        plain |= {"weights": weights(theirs), "loss": logged(theirs, "loss")}
    ours = build(AEntGRPOTrainer, AEntGRPOConfig, options, method={"name": name, **OFF[name]})
    ours.train()
    assert torch.equal(weights(ours), plain["weights"])
    assert logged(ours, "loss") == plain["loss"]
    assert len(logged(ours, "aent/entropy")) == 3  # off, but it goes on measuring


HIGH, LOW = 4.5, 0.5  # out of this policy's reach: it stays near 4 nats
ON = {
    "linear-bonus": {"start": 0.1, "steps": 10},
    "cosine-bonus": {"start": 0.1, "steps": 10},
    "sac": {"target": HIGH, "coef": 0.01, "lr": 0.1},
    "lagrangian": {"target": LOW, "coef": 0.1, "lr": 1e-3},
    "skywork": {"target": HIGH, "delta": 0.01, "coef_max": 0.1},
    "aer": {"coef": 0.1, "lr": 1e-3, "easy": 0.5, "hard": 1.0},
    "entropic": {"target": HIGH, "kp": 0.1, "probability": 0.1},
    "siren": {"coef": 0.5},
}


def falls(coefs):
    return coefs[0] == 0.1 and all(b < a or a == b == 0 for a, b in pairwise(coefs))


BEHAVES = {
    "linear-bonus": lambda coefs, _: falls(coefs) and coefs[10:] == [0] * 10,
    "cosine-bonus": lambda coefs, _: falls(coefs) and coefs[10:] == [0] * 10,
    "sac": lambda coefs, _: coefs[0] == 0.01 and sorted(set(coefs)) == coefs,
    "lagrangian": lambda coefs, _: falls(coefs),
    "skywork": lambda coefs, _: coefs[0] == 0 and coefs[1] == 0.01 and set(coefs[12:]) == {0.1},
    "aer": lambda coefs, _: falls(coefs),
    "entropic": lambda coefs, _: coefs[0] == 0 and all(-1 <= c < 0 for c in coefs[1:]),
    "siren": lambda coefs, trainer: (
        coefs == [0.0] + [0.5] * 19
        and trainer.controller.anchor == pytest.approx(logged(trainer, "aent/entropy")[0])
    ),
}
"""What the logged coefficients of 20 steps must look like."""


@pytest.mark.parametrize("name", ON)
def test_twenty_steps_and_the_last_two_again_from_a_checkpoint(name, build, options, tmp_path):
    options |= {"max_steps": 20, "save_strategy": "steps", "save_steps": 18, "max_completion_length": 4}
    method = {"name": name, **ON[name]}
    whole = build(AEntGRPOTrainer, AEntGRPOConfig, options, method=method)
    start = weights(whole).clone()
    whole.train()
    assert weights(whole).isfinite().all()
    assert not torch.equal(weights(whole), start)
    coefs = logged(whole, "aent/coef")
    assert len(coefs) == 20
    assert BEHAVES[name](coefs, whole), coefs

    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(Path(options["output_dir"]) / "checkpoint-18", elsewhere / "checkpoint-18")
    resumed = build(AEntGRPOTrainer, AEntGRPOConfig, options | {"output_dir": str(elsewhere)}, method=method)
    resumed.train(resume_from_checkpoint=str(elsewhere / "checkpoint-18"))
    assert resumed.controller == whole.controller
    assert logged(resumed, "aent/coef") == coefs
    assert torch.equal(weights(resumed), weights(whole))


def test_siren_measures_its_peaks_and_full_entropy_stays_that_of_all_tokens(build, options):
    """The window holds the mean over responses of peaks; beside it stands the plain mean that TRL logs."""
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options | {"max_steps": 1}, method="siren")
    shown = []
    compute = trainer._aent_loss.see

    def noted(*args):
        shown.append(compute(*args))
        return shown[-1]

    trainer._aent_loss.see = noted
    trainer.train()
    means = []
    for row, mask in zip(shown[0].entropy.detach(), shown[0].mask, strict=True):
        values = row[mask.bool()].sort().values
        place = 0.8 * (len(values) - 1)
        below = int(place)
        edge = values[below] + (place - below) * (values[min(below + 1, len(values) - 1)] - values[below])
        peaks = [value for value in values.tolist() if value > edge]
        means += [sum(peaks) / len(peaks)] if peaks else []
    assert logged(trainer, "aent/entropy") == pytest.approx([sum(means) / len(means)], abs=1e-5)
    assert logged(trainer, "aent/full_entropy") == pytest.approx(logged(trainer, "entropy"), abs=1e-6)
    assert logged(trainer, "aent/entropy")[0] > shown[0].entropy[shown[0].mask.bool()].mean().item()
