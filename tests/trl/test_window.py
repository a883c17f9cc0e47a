"""From sums over tokens to the next coefficient: in isolation, and in training."""

import json
from pathlib import Path

import pytest
import tiny
import torch
from accelerate import Accelerator
from stepping import logged
from trl import GRPOConfig, GRPOTrainer

from aent import Band, InputError, Method
from aent.steering import Sums
from aent.trl import (
    AEntGRPOConfig,
    AEntGRPOTrainer,
    AEntPPOConfig,
    AEntPPOTrainer,
    AEntRLOOConfig,
    AEntRLOOTrainer,
)
from aent.trl.window import Window

BOTH = pytest.mark.parametrize(
    "kind", [(AEntGRPOTrainer, AEntGRPOConfig), (AEntRLOOTrainer, AEntRLOOConfig)], ids=["grpo", "rloo"]
)
MOVING = {**tiny.MOVING, "drop": 0.25}


def sums(**named):
    """Sums over a micro-batch; those not named are 0."""
    return Sums(**{name: torch.tensor(float(named.get(name, 0))) for name in Sums._fields})


@pytest.fixture(scope="module")
def accelerator():
    return Accelerator(cpu=True)


def band():
    return Band(coef=0.01, low=4.3, high=4.4, lr=0.02, coef_min=0.0, coef_max=0.5, warmup=0)


def test_a_window_is_read_as_the_mean_over_all_its_micro_batches(accelerator):
    """(2 + 9) nats over weights 1 + 4, not the mean of 2 and 9/4; effects are sums."""
    window = Window(Method(name="aent", controller=band()))
    window.add(sums(entropy=2, weight=1, full_entropy=6, tokens=2, pull=0.5, push=0.25))
    window.add(sums(entropy=9, weight=4, full_entropy=8, tokens=5, pull=-1, push=0.5))
    total = sums(entropy=11, weight=5, full_entropy=14, tokens=7, pull=-0.5, push=0.75)
    assert window.sums == total
    assert window.close(accelerator, remaining=0.25) == total
    assert window.last_entropy == 11 / 5
    assert window.sums == sums()  # the next window starts empty


def test_the_checkpoint_has_the_format_of_earlier_versions(accelerator):
    """Six sums in this order, under these keys: written before the sums had names."""
    written = {
        "method": "aent",
        "controller": {"coef": 0.02, "updates": 3},
        "window": [10.0, 12.0, 4.0, 4.0, 0.5, 0.25],
        "measured": 2.75,
    }
    window = Window(Method(name="aent", controller=band()))
    window.load_state_dict(written)
    assert window.coef == 0.02
    assert window.last_entropy == 2.75
    assert window.sums == sums(entropy=10, full_entropy=12, weight=4, tokens=4, pull=0.5, push=0.25)
    assert window.state_dict() == written
    window.close(accelerator, remaining=1.0)
    assert window.coef == pytest.approx(0.02 + 0.02 * (4.3 - 10 / 4))


def test_a_window_without_tokens_does_not_move_the_coefficient(build, options):
    """No completion may end, so all are masked as truncated."""
    options |= {"mask_truncated_completions": True, "generation_kwargs": {"suppress_tokens": [1]}}
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options, method=MOVING)
    trainer.train()
    assert logged(trainer, "completions/clipped_ratio") == [1.0] * 3
    assert logged(trainer, "aent/coef") == [0.01] * 3
    assert trainer.controller.updates == 0
    assert logged(trainer, "aent/entropy") == []


@BOTH
def test_evaluation_does_not_move_the_coefficient(kind, build, options, prompts):
    trainer_class, config = kind
    options |= {"per_device_eval_batch_size": 16}
    trainer = build(trainer_class, config, options, method=MOVING, eval_dataset=prompts.select(range(4)))
    trainer.train()
    before, window = trainer.coef, trainer._aent_window.sums
    metrics = trainer.evaluate()
    assert trainer.coef == before
    assert trainer._aent_window.sums == window
    assert 0 < metrics["eval_aent/entropy"] < metrics["eval_aent/full_entropy"]


@pytest.mark.parametrize(
    "kind",
    [(AEntGRPOTrainer, AEntGRPOConfig), (AEntRLOOTrainer, AEntRLOOConfig), (AEntPPOTrainer, AEntPPOConfig)],
    ids=["grpo", "rloo", "ppo"],
)
def test_it_evaluates_before_the_first_step(kind, build, options, prompts):
    """TRL counts micro-batches in training only; `eval_on_start` evaluates before that."""
    options |= {"per_device_eval_batch_size": 16}
    trainer = build(*kind, options, method=MOVING, eval_dataset=prompts.select(range(4)))
    metrics = trainer.evaluate()
    assert 0 < metrics["eval_aent/entropy"] < metrics["eval_aent/full_entropy"]


class Rank:
    """One of two ranks, whose partner has added `other` since the sums were last shared."""

    num_processes = 2

    def __init__(self, main, other):
        self.is_main_process, self.other = main, other

    def reduce(self, values, reduction):
        assert reduction == "sum"
        return values + self.other


def test_an_open_window_is_that_of_all_ranks_after_resuming():
    """Rank 0 adds 1 nat over 1 token, rank 1 adds 8 over 2. Rank 0 stores both, and nothing counts twice."""
    mine = torch.tensor([1.0, 0, 1, 0, 0, 0])
    theirs = torch.tensor([8.0, 0, 2, 0, 0, 0])
    windows = []
    for main, own, other in ((True, mine, theirs), (False, theirs, mine)):
        window = Window(Method(name="aent", controller=band()))
        window.add(Sums(*own))
        window.share(Rank(main, other))
        windows.append(window)
    first, second = windows
    assert torch.stack(list(first.sums)).equal(mine + theirs)
    assert second.sums == sums()
    first.add(Sums(*mine))
    total = first.close(Rank(True, theirs), remaining=0.5)  # the other rank added as much again
    assert (total.entropy, total.weight) == (18, 6)


def test_update_per_rollout_batch_moves_once_per_batch(build, options):
    """2 slices x 2 iterations of one optimizer step each: one move per 4 steps."""
    options |= {
        "max_steps": 8,
        "steps_per_generation": 2,
        "num_iterations": 2,
        "aent_update": "rollout",
    }
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options, method=MOVING)
    trainer.train()
    coefs = logged(trainer, "aent/coef")
    assert len(set(coefs[:4])) == 1
    assert len(set(coefs[4:])) == 1
    assert coefs[0] == 0.01
    assert coefs[4] != coefs[0]
    assert trainer.controller.updates == 2
    assert len(logged(trainer, "aent/entropy")) == 2


def test_the_logged_coefficient_follows_the_rule(build, options):
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options, method=MOVING)
    trainer.train()
    coefs, entropies = logged(trainer, "aent/coef"), logged(trainer, "aent/entropy")
    assert entropies[0] < MOVING["low"]
    assert coefs[1] == pytest.approx(coefs[0] + 0.02 * (MOVING["low"] - entropies[0]))
    assert logged(trainer, "aent/low") == [4.3] * 3
    assert logged(trainer, "aent/high") == [4.4] * 3


def test_state_lies_in_trainer_state(build, options):
    options |= {"max_steps": 2, "save_strategy": "steps", "save_steps": 2}
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options, method=MOVING)
    trainer.train()
    state = json.loads((Path(options["output_dir"]) / "checkpoint-2/trainer_state.json").read_text())
    assert state["stateful_callbacks"]["aent"]["attributes"]["controller"] == {
        "coef": trainer.coef,
        "updates": 2,
    }


def test_a_checkpoint_of_another_method_is_refused(build, options):
    options |= {"max_steps": 1, "save_strategy": "steps", "save_steps": 1}
    build(AEntGRPOTrainer, AEntGRPOConfig, options, method=MOVING).train()
    other = build(AEntGRPOTrainer, AEntGRPOConfig, options | {"max_steps": 2}, method="entropy-bonus")
    with pytest.raises(InputError, match=r"'aent', not 'entropy-bonus'"):
        other.train(resume_from_checkpoint=True)


def test_a_checkpoint_of_plain_trl_starts_from_the_initial_coefficient(build, options):
    options |= {"max_steps": 1, "save_strategy": "steps", "save_steps": 1}
    build(GRPOTrainer, GRPOConfig, options).train()
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options | {"max_steps": 2}, method=MOVING)
    trainer.train(resume_from_checkpoint=True)
    assert logged(trainer, "aent/coef") == [0.01]
