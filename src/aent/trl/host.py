"""What aent relies on in TRL: the trainer's members, its kind, and its two averages.

`Host` lists the members of a TRL trainer that aent reads or overrides. `Kind` says which trainer it is.
`host_mean` and `group_baseline` restate how TRL averages a loss and which baseline it subtracts. Both follow
from the options; `tests/trl/test_host.py` compares them with TRL's own results.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel, TrainerCallback, TrainerState
from trl.trainer import utils
from trl.trainer.utils import nanstd

from aent.errors import InputError
from aent.method import Edge

CLIPPED = ("grpo", "bnpo", "dr_grpo", "dapo", "luspo")
"""GRPO's loss types that clip the ratio on both sides."""
LOSS_TYPES = (*CLIPPED, "cispo", "sapo", "vespo")
"""Every loss type TRL knows. TRL rejects a bad one only midway through the first step; we check earlier."""
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
"""Inputs of a forward pass other than text, under the names they have in a batch of rollouts."""
KERNEL = "_ChunkedLogProbFunction"
COMPACT = "_use_triton"
FUSED_HEAD = (KERNEL, COMPACT, "FusedCausalLMOutput", "add_fused_lm_head", "maybe_gather_lm_head_ctx")
"""What aent uses of `trl.trainer.utils`."""


class Host(Protocol):
    """The members of TRL's GRPO and RLOO trainers that aent relies on."""

    args: Any
    """A GRPOConfig or an RLOOConfig; neither declares the other's fields."""
    model: Any
    """The policy: a causal language model of transformers, or PEFT's wrapper around one."""
    accelerator: Accelerator
    state: TrainerState
    num_generations: int
    """Completions per prompt."""
    reward_weights: Float[Tensor, " functions"]
    epsilon_low: Edge
    epsilon_high: Edge
    """The clipping range of the ratio, [1 - low, 1 + high]; read in `_compute_loss`."""
    loss_is_scaled_for_ga: bool
    """Whether `_compute_loss` divides by the number of accumulated micro-batches itself."""
    current_gradient_accumulation_steps: int
    _step: int
    """Micro-batches trained on since the start of this process."""
    _buffered_inputs: list[dict[str, Any]] | None
    """The current batch of rollouts, cut into micro-batches."""
    _metrics: dict[str, dict[str, list[float]]]
    """Under "train" and "eval": values per metric, averaged at the next logging step."""
    _logs: dict[str, Any]
    """Columns of the table of completions."""

    def add_callback(self, callback: TrainerCallback) -> None:
        """Register a callback."""
        ...

    def _calculate_rewards(self, *args: Any, **keywords: Any) -> Float[Tensor, "all functions"]:
        """Return one reward per completion of all ranks and function; NaN where a function gave none."""
        ...

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        """Generate a batch of rollouts on this rank, and compute its rewards and advantages."""
        ...

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        """Return the next micro-batch, from new rollouts where the buffer is used up."""
        ...

    def _get_per_token_logps_and_entropies(
        self, *args: Any, **keywords: Any
    ) -> tuple[Float[Tensor, "batch tokens"], Any, Any]:
        """Score completions; return log-probabilities, entropies and auxiliary loss (or None for these)."""
        ...

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Float[Tensor, ""]:
        """Return the loss of a micro-batch."""
        ...

    def _get_grad_norm(self, *args: Any, **keywords: Any) -> Any:
        """Return the norm of the gradient over all ranks, after clipping and before the optimizer steps."""
        ...

    def _save_rng_state(self, output_dir: str) -> None:
        """Write the state of this rank into a checkpoint."""
        ...

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Restore the state of this rank from a checkpoint, before the first step."""
        ...


@dataclass(frozen=True)
class Kind:
    """Which kind of trainer the host is, read once from its options."""

    loss_type: str | None
    """GRPO's loss type; None for RLOO, which sums the log-probabilities of a completion."""
    token_ratio: bool
    """Whether each token has its own importance ratio; in RLOO and GSPO a completion has one."""
    critic: bool
    """Whether advantages come from a critic."""

    @classmethod
    def of(cls, args: Any) -> "Kind":
        """Read the kind from a GRPOConfig, an RLOOConfig or an `aent.trl.AEntPPOConfig`."""
        return cls(
            loss_type=getattr(args, "loss_type", None),
            token_ratio=getattr(args, "importance_sampling_level", "sequence") == "token",
            critic=hasattr(args, "value_coef"),
        )

    @property
    def kl_in_loss(self) -> bool:
        """Whether the KL term is in the loss; RLOO subtracts it from the reward."""
        return self.loss_type is not None


def check_trl() -> None:
    """Check that the installed TRL has the fused head that aent fills.

    Raises:
        InputError: naming what is missing.
    """
    missing = [name for name in FUSED_HEAD if not hasattr(utils, name)]
    if missing:
        raise InputError(
            f"this TRL has no {', '.join('trl.trainer.utils.' + name for name in missing)}, which aent "
            "builds on; install trl>=1.16,<2"
        )


def check_model(model: Any) -> None:
    """Check that a model passed to a trainer is a causal language model; names of models pass.

    Raises:
        InputError: for an encoder-decoder, or a model without an output layer.
    """
    if not isinstance(model, PreTrainedModel):
        return
    kind = "an encoder-decoder" if model.config.is_encoder_decoder else "a model without an output layer"
    if model.config.is_encoder_decoder or model.get_output_embeddings() is None:
        raise InputError(
            f"{type(model).__name__} is {kind}; TRL trains causal language models: load the checkpoint "
            "with AutoModelForCausalLM"
        )


def token_mask(inputs: Mapping[str, Any]) -> Float[Tensor, "batch tokens"]:
    """Mask of the tokens that count: in the completion, not truncated, not written by a tool."""
    mask = inputs["completion_mask"]
    tool_mask = inputs.get("tool_mask")
    return mask if tool_mask is None else mask * tool_mask


def summed_rewards(host: Host, each: Float[Tensor, "all functions"]) -> Float[Tensor, " all"]:
    """Sum the reward functions with their weights; NaN where no function scored the completion."""
    rewards = (each * host.reward_weights.to(each.device)).nansum(1)
    return rewards.masked_fill(each.isnan().all(1), torch.nan)


def log_advantages(host: Host, advantages: list[float]) -> None:
    """Put advantages into the table of completions, in place of the last ones that the host put there."""
    column = host._logs["advantages"]
    others = list(column)[: -len(advantages)]
    column.clear()
    column.extend([*others, *advantages])


def host_mean(
    host: Host, kind: Kind, inputs: Mapping[str, Any], values: Float[Tensor, "batch tokens"]
) -> Float[Tensor, ""]:
    """Average a loss per token over a micro-batch as the host averages its own in training."""
    mask = token_mask(inputs)
    values = values * mask
    if kind.loss_type is None:  # RLOO: a completion's log-probability is a sum
        return values.sum(1).mean()
    accumulated = host.current_gradient_accumulation_steps
    match kind.loss_type:
        case "grpo" | "sapo":
            return (values.sum(1) / mask.sum(1).clamp(min=1)).mean() / accumulated
        case "bnpo":
            return values.sum() / mask.sum().clamp(min=1) / accumulated
        case "dr_grpo":
            return values.sum() / (len(values) * host.args.max_completion_length) / accumulated
        case "luspo":
            return values.sum(1).mean() / accumulated
        case _:
            tokens = inputs["num_items_in_batch"].clamp(min=1) / host.accelerator.num_processes
            return values.sum() / tokens * host.args.steps_per_generation / accumulated


def group_baseline(
    host: Host,
    kind: Kind,
    rewards: Float[Tensor, "groups size"],
    kl: Float[Tensor, "groups size"] | None,
) -> Float[Tensor, "groups size"]:
    """Compute advantages from rewards as the host does; NaN rewards are left out.

    `kl` is the divergence of each completion, which RLOO subtracts from its reward; None for GRPO.
    """
    args = host.args
    if kind.kl_in_loss:
        advantages = rewards - rewards.nanmean(1, keepdim=True)
        if args.scale_rewards == "group":
            advantages = advantages / (nanstd(rewards, dim=1)[:, None] + 1e-4)
        elif args.scale_rewards == "batch":
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


def passes_per_rollouts(host: Host) -> int:
    """Return how many micro-batches are trained on one batch of rollouts, over all iterations."""
    return host.args.steps_per_generation * host.args.num_iterations


def remaining(host: Host) -> float:
    """Return the share of the training that is left."""
    return 1 - host.state.global_step / max(host.state.max_steps, 1)


def reduced(accelerator: Accelerator, values: Tensor, reduction: str = "sum") -> Tensor:
    """Reduce a tensor over the ranks: its sum, or its mean."""
    return cast(Tensor, accelerator.reduce(values, reduction=reduction))


def gathered(accelerator: Accelerator, values: Float[Tensor, " n ..."]) -> Float[Tensor, " m ..."]:
    """Concatenate the tensors of all ranks, which have the same shape."""
    return cast(Tensor, accelerator.gather(values))


def gather_all(accelerator: Accelerator, values: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
    """Concatenate the values of all ranks, which may differ in number; a rank without any takes part too."""
    padded = cast(Tensor, accelerator.pad_across_processes(values, dim=0, pad_index=cast(int, torch.nan)))
    everything = gathered(accelerator, padded)
    return everything[~everything.isnan()]
