"""The methods of `aent.methods.coefficient` and `nucleus` in training: off, on, resumed, against TRL."""

import pytest
import torch
from trl import GRPOConfig, GRPOTrainer

from aent.trl import AEntGRPOConfig, AEntGRPOTrainer

NO_END = {"generation_kwargs": {"suppress_tokens": [0, 1]}}  # all completions are as long as they may be


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


def logged(trainer, key):
    return [row[key] for row in trainer.state.log_history if key in row]


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
