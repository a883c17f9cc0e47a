"""Methods that change rewards and advantages, in training."""

import pytest
import torch
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from aent.trl import AEntGRPOConfig, AEntGRPOTrainer, AEntRLOOConfig, AEntRLOOTrainer

GRPO = (AEntGRPOTrainer, AEntGRPOConfig, GRPOTrainer, GRPOConfig)
RLOO = (AEntRLOOTrainer, AEntRLOOConfig, RLOOTrainer, RLOOConfig)
BOTH = pytest.mark.parametrize("kind", [GRPO, RLOO], ids=["grpo", "rloo"])

NEVER = {"low": 0.0, "low_end": 0.0, "high": 100.0, "high_end": 100.0}
OFF = [
    {"name": "unlikeliness", "b": 0.0},
    {"name": "entropy-advantage", "alpha": 0.0},
    {"name": "stare", "weight": 1.0, "target": 100.0},
    {"name": "stare", "weight": 2.0, "target": 0.0},
    {"name": "entrocraft", "steps": 3, **NEVER},
]
"""Methods switched off."""
ON = [
    {"name": "unlikeliness"},
    {"name": "pass-at-k", "k": 4},
    {"name": "w-reinforce"},
    {"name": "qae"},
    {"name": "entropy-advantage"},
    {"name": "stare", "weight": 2.0, "target": 100.0},
    {"name": "entrocraft", "steps": 20, "low": 4.2, "high": 4.2, "low_end": 3.8, "high_end": 3.8},
]
"""Methods that have something to do with a policy this flat (4 nats per token)."""


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


def logged(trainer, key):
    return [row[key] for row in trainer.state.log_history if key in row]


def name(method):
    return method["name"]


@pytest.fixture
def learning(options):
    """20 steps in which a policy learns what `reward` wants."""
    return options | {"max_steps": 20, "learning_rate": 1e-2, "per_device_train_batch_size": 32}


@BOTH
@pytest.mark.parametrize("method", OFF, ids=str)
def test_switched_off_is_bit_equal_to_trl(kind, method, build, options):
    trainer_class, config, parent, parent_config = kind
    ours = build(trainer_class, config, options, method=method)
    ours.train()
    theirs = build(parent, parent_config, options)
    theirs.train()
    assert torch.equal(weights(ours), weights(theirs))
    assert logged(ours, "loss") == logged(theirs, "loss")


@pytest.mark.parametrize("method", ON, ids=name)
def test_twenty_steps_of_grpo_learn(method, build, learning):
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, learning, method=method)
    trainer.train()
    earned = logged(trainer, "reward")
    assert sum(earned[-5:]) > sum(earned[:5])
