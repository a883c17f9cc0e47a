"""What aent knows of its host's arithmetic: how TRL averages a loss, and which baseline it subtracts.

Both are short and follow from the options; `tests/trl/test_host.py` holds them to the host's own results.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from trl.trainer.utils import nanstd

CLIPPED = ("grpo", "bnpo", "dr_grpo", "dapo", "luspo")
"""The loss types of GRPO that clip the ratio on both sides."""
LOSS_TYPES = (*CLIPPED, "cispo", "sapo", "vespo")
"""All of them; the host itself looks only in the middle of the first step."""
VISION = (
    "pixel_values",
    "image_grid_thw",
    "num_images",
    "pixel_attention_mask",
    "spatial_shapes",
    "num_tiles",
    "image_sizes",
    "token_type_ids",
    "mm_token_type_ids",
    "image_position_ids",
)
"""What a forward pass takes beside text, by the names it has among the rollouts."""


def token_mask(inputs: Mapping[str, Any]) -> Float[Tensor, "batch tokens"]:
    """The tokens that count: of the completion, not truncated, not written by a tool."""
    mask = inputs["completion_mask"]
    tool_mask = inputs.get("tool_mask")
    return mask if tool_mask is None else mask * tool_mask


def has_token_ratio(args: Any) -> bool:
    """Whether the importance ratio is one of single tokens, not of whole completions (RLOO, GSPO)."""
    return getattr(args, "importance_sampling_level", "sequence") == "token"


def host_mean(
    trainer: Any, inputs: Mapping[str, Any], values: Float[Tensor, "batch tokens"]
) -> Float[Tensor, ""]:
    """Average a loss per token as the trainer does in training with its own."""
    mask = token_mask(inputs)
    values = values * mask
    if not hasattr(trainer, "loss_type"):  # RLOO: a completion's log-probability is a sum
        return values.sum(1).mean()
    accumulated = trainer.current_gradient_accumulation_steps
    match trainer.loss_type:
        case "grpo" | "sapo":
            return (values.sum(1) / mask.sum(1).clamp(min=1)).mean() / accumulated
        case "bnpo":
            return values.sum() / mask.sum().clamp(min=1) / accumulated
        case "dr_grpo":
            return values.sum() / (len(values) * trainer.max_completion_length) / accumulated
        case "luspo":
            return values.sum(1).mean() / accumulated
        case _:
            tokens = inputs["num_items_in_batch"].clamp(min=1) / trainer.accelerator.num_processes
            return values.sum() / tokens * trainer.args.steps_per_generation / accumulated


def group_baseline(
    trainer: Any, rewards: Float[Tensor, "groups size"], kl: Float[Tensor, "groups size"] | None
) -> Float[Tensor, "groups size"]:
    """Advantages of rewards as the trainer makes them; NaN rewards are left out.

    `kl` is the divergence of each completion that RLOO charges to its reward, None for GRPO.
    """
    args = trainer.args
    if hasattr(trainer, "loss_type"):
        advantages = rewards - rewards.nanmean(1, keepdim=True)
        if trainer.scale_rewards == "group":
            advantages = advantages / (nanstd(rewards, dim=1)[:, None] + 1e-4)
        elif trainer.scale_rewards == "batch":
            advantages = advantages / (nanstd(rewards.flatten()) + 1e-4)
        return advantages
    if args.reward_clip_range:
        rewards = rewards.clamp(*args.reward_clip_range)
    if kl is not None:
        rewards = rewards - args.beta * kl
    others = (~rewards.isnan()).sum(1, keepdim=True) - 1
    advantages = rewards - (rewards.nansum(1, keepdim=True) - rewards) / others
    if args.normalize_advantages:
        flat = advantages.flatten()
        advantages = (advantages - flat.nanmean()) / (nanstd(flat) + 1e-4)
    return torch.where(others > 0, advantages, torch.nan)


def filled(rewards: Float[Tensor, "groups size"]) -> Float[Tensor, "groups size"]:
    """Give a completion that nothing scored its group's mean."""
    return torch.where(rewards.isnan(), rewards.nanmean(1, keepdim=True), rewards).nan_to_num(0.0)


def solved(rewards: Float[Tensor, "groups size"]) -> Float[Tensor, "groups size"]:
    """Where the mean of each group lies between the worst and the best reward of all; 0 if they are equal."""
    worst, best = rewards.min(), rewards.max()
    share = (rewards.mean(1, keepdim=True) - worst) / (best - worst).clamp(min=1e-12)
    return share.expand_as(rewards)


def gather_all(accelerator: Any, values: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
    """Gather as many values as each rank has; every rank takes part, also one that has none."""
    padded = accelerator.pad_across_processes(values, dim=0, pad_index=torch.nan)
    gathered = accelerator.gather(padded)
    return gathered[~gathered.isnan()]
