"""What aent relies on in verl: names, members, how it averages a loss, and its groups of ranks.

`docs/verl.md` lists the same for readers; `tests/verl/test_host.py` holds both to the installed verl.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

from aent.errors import InputError
from aent.verl.version import unsupported

RELIED_ON: dict[str, tuple[str, ...]] = {
    "verl.trainer.ppo.v1": (
        "PPOTrainerColocateAsync",
        "PPOTrainerSeparateAsync",
        "PPOTrainerSync",
        "register_trainer",
    ),
    "verl.trainer.ppo.v1.trainer_base": (
        "PPOTrainer._compute_advantage",
        "PPOTrainer._init_resource_pool_mgr",
        "PPOTrainer._load_checkpoint",
        "PPOTrainer._save_checkpoint",
        "PPOTrainer._update_actor",
        "PPOTrainer.step",
    ),
    "verl.trainer.ppo.utils": ("Role",),
    "verl.trainer.ppo.core_algos": ("agg_loss", "compute_policy_loss_vanilla"),
    "verl.utils.checkpoint.checkpoint_manager": ("find_latest_ckpt_path",),
    "verl.utils.metric": ("AggregationType", "Metric"),
    "verl.utils.tensordict_utils": ("get_non_tensor_data", "get_tensordict"),
    "verl.workers.engine_workers": (
        "ActorRolloutRefWorker.init_model",
        "TrainingWorker.set_loss_fn",
    ),
    "verl.experimental.separation.engine_workers": ("DetachActorWorker",),
    "verl.workers.utils.losses": ("ppo_loss",),
    "verl.workers.utils.padding": ("no_padding_2_padding", "response_to_nested"),
}
"""Modules of verl, and what aent uses of each. The engines are in `aent.verl.engine`."""


class Loss(Protocol):
    """A loss as verl's engines call it, once per micro-batch."""

    def __call__(
        self, model_output: dict[str, Any], data: Any, dp_group: Any = None
    ) -> tuple[Float[Tensor, ""], dict[str, Any]]:
        """Return the loss, and metrics by name."""
        ...


def check_verl() -> None:
    """Check the version of verl and that all of `RELIED_ON` is there.

    Raises:
        InputError: naming the version, or what is missing.
    """
    if problem := unsupported():
        raise InputError(f"{problem}: pip install 'verl>=0.9.1,<0.10'")
    if lost := missing():
        raise InputError(f"this verl has no {', '.join(lost)}, which aent builds on; install verl 0.9.1")


def missing(relied_on: Mapping[str, tuple[str, ...]] = RELIED_ON) -> list[str]:
    """Return the dotted names that the installed verl does not have."""
    return [
        f"{module}.{name}" for module, names in relied_on.items() for name in names if not _has(module, name)
    ]


def _has(module: str, name: str) -> bool:
    try:
        owner: Any = import_module(module)
    except ImportError:
        return False
    for part in name.split("."):
        if not hasattr(owner, part):
            return False
        owner = getattr(owner, part)
    return True


def host_mean(
    config: Any, mask: Float[Tensor, "batch tokens"], values: Float[Tensor, "batch tokens"]
) -> Float[Tensor, ""]:
    """Average a loss per token as verl averages its own: `config` is the actor's, after its loss has run."""
    from verl.trainer.ppo.core_algos import agg_loss  # pyright: ignore[reportMissingImports]

    return agg_loss(
        loss_mat=values,
        loss_mask=mask.bool(),
        loss_agg_mode=config.loss_agg_mode,
        **config.global_batch_info,
    )


def gather_all(group: dist.ProcessGroup | None, values: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
    """Concatenate the values of all ranks of a group; each may hold a different number of them, or none."""
    world = dist.get_world_size(group) if group is not None and dist.is_initialized() else 1
    if world == 1:
        return values
    lengths = [torch.zeros(1, dtype=torch.long, device=values.device) for _ in range(world)]
    dist.all_gather(lengths, torch.tensor([len(values)], device=values.device), group=group)
    longest = int(max(lengths))
    padded = values.new_zeros(longest)
    padded[: len(values)] = values
    parts = [torch.empty_like(padded) for _ in range(world)]
    dist.all_gather(parts, padded, group=group)
    return torch.cat([part[: int(n)] for part, n in zip(parts, lengths, strict=True)])
