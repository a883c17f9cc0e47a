"""What is done once per batch of rollouts."""

import shutil
from pathlib import Path

import pytest
import tiny
import torch
from stepping import logged, rollout, weights

from aent.trl import (
    AEntGRPOConfig,
    AEntGRPOTrainer,
    AEntPPOConfig,
    AEntPPOTrainer,
    AEntRLOOConfig,
    AEntRLOOTrainer,
)
from aent.trl.rollouts import filled


def test_what_nothing_scored_counts_as_its_groups_mean():
    rewards = torch.tensor([[1.0, torch.nan, 0.0, 2.0], [torch.nan] * 4])
    assert filled(rewards).tolist() == [[1.0, 1.0, 0.0, 2.0], [0.0] * 4]


def test_rewards_are_summed_with_their_weights_and_grouped(build, options):
    """Two functions with weights 1 and 0.5; what one leaves out counts as 0, what both leave out is NaN."""
    options |= {"num_generations": 4, "reward_weights": [1.0, 0.5]}

    def one(completions, **_):
        return [1.0] * len(completions)

    def other(completions, **_):
        return [2.0] * len(completions)

    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options, reward_funcs=[one, other])
    rewards = torch.tensor([[1.0, 2.0], [torch.nan, 2.0], [3.0, torch.nan], [torch.nan, torch.nan]])
    trainer._aent_rollouts.rewards = rewards
    grouped = trainer._aent_rollouts.grouped()
    torch.testing.assert_close(grouped, torch.tensor([[2.0, 1.0, 3.0, torch.nan]]), equal_nan=True)


def test_every_completion_has_the_share_of_its_own_group(build, options):
    trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options, method="aent-auto")
    inputs = rollout(trainer, 16)
    rewards = trainer._aent_rollouts.rewards[:, 0].view(-1, trainer.num_generations)
    deviation = rewards - rewards.mean(1, keepdim=True)
    advantages = deviation / (rewards.std(1, keepdim=True) + 1e-4)
    shares = (rewards == rewards.max()).float().mean(1).repeat_interleave(trainer.num_generations)
    expected = sorted(zip(advantages.flatten().tolist(), shares.tolist(), strict=True))
    found = sorted(zip(inputs["advantages"].tolist(), inputs["aent_solved"].tolist(), strict=True))
    assert shares.unique().numel() > 1
    assert torch.tensor(found) == pytest.approx(torch.tensor(expected), abs=1e-5)


@pytest.mark.parametrize("update", ["step", "rollout"])
@pytest.mark.parametrize(
    ("kind", "config"),
    [(AEntGRPOTrainer, AEntGRPOConfig), (AEntRLOOTrainer, AEntRLOOConfig)],
    ids=["grpo", "rloo"],
)
def test_resuming_within_a_batch_of_rollouts_gives_the_same_run(
    kind, config, update, build, options, tmp_path
):
    """Each batch serves four steps; the checkpoint is written after two steps on the second batch."""
    options |= {"steps_per_generation": 2, "num_iterations": 2, "per_device_train_batch_size": 8}
    options |= {"max_steps": 10, "save_strategy": "steps", "save_steps": 6, "aent_update": update}
    whole = build(kind, config, options, method=tiny.MOVING)
    whole.train()
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(Path(options["output_dir"]) / "checkpoint-6", elsewhere / "checkpoint-6")
    resumed = build(kind, config, options | {"output_dir": str(elsewhere)}, method=tiny.MOVING)
    resumed.train(resume_from_checkpoint=str(elsewhere / "checkpoint-6"))
    assert len(set(logged(whole, "aent/coef"))) == (10 if update == "step" else 3)
    for key in ("aent/coef", "loss", "reward"):
        assert logged(resumed, key) == logged(whole, key)
    assert torch.equal(weights(resumed), weights(whole))


@pytest.mark.parametrize(
    ("kind", "config"),
    [(AEntGRPOTrainer, AEntGRPOConfig), (AEntPPOTrainer, AEntPPOConfig)],
    ids=["grpo", "ppo"],
)
def test_without_a_method_it_resumes_within_a_batch_too(kind, config, build, options, tmp_path):
    options |= {"num_iterations": 2, "max_steps": 4, "save_strategy": "steps", "save_steps": 1}
    whole = build(kind, config, options, method="none")
    whole.train()
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(Path(options["output_dir"]) / "checkpoint-1", elsewhere / "checkpoint-1")
    resumed = build(kind, config, options | {"output_dir": str(elsewhere)}, method="none")
    resumed.train(resume_from_checkpoint=str(elsewhere / "checkpoint-1"))
    assert logged(resumed, "reward") == logged(whole, "reward")
    assert torch.equal(weights(resumed), weights(whole))


def test_rollouts_cut_into_other_micro_batches_are_generated_anew(build, options):
    """The checkpoint holds 2 micro-batches of 8, and was written after the third of 4 steps on them."""
    options |= {"steps_per_generation": 2, "num_iterations": 2, "per_device_train_batch_size": 8}
    options |= {"max_steps": 3, "save_strategy": "steps", "save_steps": 3}
    build(AEntGRPOTrainer, AEntGRPOConfig, options, method=tiny.MOVING).train()
    options |= {"steps_per_generation": 4, "num_generations": 4, "max_steps": 4}
    resumed = build(AEntGRPOTrainer, AEntGRPOConfig, options, method=tiny.MOVING)
    resumed.train(resume_from_checkpoint=True)
    assert len(resumed._buffered_inputs) == 4


def test_rollouts_are_stored_only_while_steps_on_them_are_left(build, options):
    options |= {"steps_per_generation": 2, "per_device_train_batch_size": 8}
    options |= {"max_steps": 4, "save_strategy": "steps", "save_steps": 1}
    build(AEntGRPOTrainer, AEntGRPOConfig, options, method=tiny.MOVING).train()
    files = {int(f.parent.name[11:]) for f in Path(options["output_dir"]).glob("*/aent_rollouts_0_of_1.pt")}
    assert files == {1, 3}
