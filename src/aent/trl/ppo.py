"""PPO on the rollouts of TRL's GRPO: a critic, advantages per token, its loss.

The maths is in `aent.advantages`.

TRL's `_compute_loss` takes advantages of shape (batch, tokens) as well as (batch,), so the clipped surrogate,
the KL term and all masks stay the host's; what is added here is where those advantages come from.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import disable_dropout_in_model

from aent.advantages import Reduce, explained_variance, gae, moments, terminal_rewards, value_loss, whiten
from aent.errors import InputError, unknown
from aent.method import Rollouts
from aent.objective import changed_rewards, masked_sum
from aent.trl.config import AEntArguments
from aent.trl.host import CLIPPED, filled, host_mean, token_mask
from aent.trl.trainers import AEntMixin

CRITICS = ("own", "shared")
TOKEN_LOSSES = tuple(loss for loss in CLIPPED if loss != "luspo")
WEIGHTS = "critic.safetensors"
OLD_VALUES, RETURNS, LEARNED = "ppo_old_values", "ppo_returns", "ppo_mask"  # travel with the rollouts


class _One(int):
    """One completion per prompt, for the length of the host's checks.

    GRPO refuses fewer than two, of which it makes its baseline; here the critic is the baseline, and every
    other check still has to see the true number.
    """

    def __lt__(self, other: int) -> bool:
        return other > 2 and super().__lt__(other)


@dataclass
class PPOConfig(GRPOConfig):
    """`trl.GRPOConfig` with the options of a critic.

    Where no other source is given, the defaults are those of TRL's own PPO (`PPOConfig`, until TRL 1.12).
    """

    scale_rewards: str = field(
        default="none", metadata={"help": "Not used: advantages come from the critic. Must be `none`."}
    )
    gamma: float = field(
        default=1.0, metadata={"help": "Discount per token, in [0, 1]. 1 in InstructGPT, TRL and verl."}
    )
    lam: float = field(
        default=0.95,
        metadata={"help": "Lambda of generalised advantage estimation, in [0, 1]; 1 is return minus value."},
    )
    value_coef: float = field(default=0.1, metadata={"help": "Weight of the value loss in the loss."})
    value_clip: float = field(
        default=0.2,
        metadata={"help": "How far a value may move from its old one before the loss stops it; or `inf`."},
    )
    whiten: bool = field(
        default=True,
        metadata={
            "help": "Whether advantages are brought to mean 0 and deviation 1 over a batch of rollouts."
        },
    )
    critic: str = field(
        default="own",
        metadata={
            "help": "`own`: a copy of the policy's body with a value head. `shared`: a value head on the "
            "policy's body, which then also learns from the value loss."
        },
    )
    critic_learning_rate: float | None = field(
        default=None,
        metadata={
            "help": "Learning rate of the critic, on the policy's schedule. Defaults to `learning_rate`; "
            "verl has 1e-5 where the policy has 1e-6."
        },
    )

    def __post_init__(self) -> None:
        single = self.num_generations == 1
        if single:
            self.num_generations = _One(1)
        super().__post_init__()
        if single:
            self.num_generations = 1
        if self.critic_learning_rate is None:
            self.critic_learning_rate = self.learning_rate
        self._check_critic()
        self._check_host()

    def _check_critic(self) -> None:
        if self.critic not in CRITICS:
            raise unknown("critic", self.critic, CRITICS)
        for name in ("gamma", "lam"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name}={getattr(self, name)} must be between 0 and 1")
        for name in ("value_coef", "value_clip", "critic_learning_rate"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}={getattr(self, name)} must be above 0")

    def _check_host(self) -> None:
        allowed = {
            "loss_type": TOKEN_LOSSES,
            "importance_sampling_level": ("token",),
            "scale_rewards": ("none",),
            "multi_objective_aggregation": ("sum_then_normalize",),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise InputError(
                    f"{name}={getattr(self, name)!r} does not go with PPO, whose advantages are those of "
                    f"single tokens from the critic; it must be {' or '.join(values)}"
                )


class Critic(nn.Module):
    """The value before each token of a completion: a linear head on the hidden states of a body.

    The body is its own, first a copy of the policy's, or the policy's itself (`body` is None). The head
    starts at 0, so that the first advantages are the rewards; it computes in fp32.
    """

    def __init__(self, policy: nn.Module, *, own: bool):
        super().__init__()
        body = cast(Any, policy).base_model
        self.body = copy.deepcopy(body) if own else None
        self.head = nn.Linear(body.config.get_text_config().hidden_size, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        disable_dropout_in_model(self)  # a value must not change between rollout and loss

    def forward(
        self, hidden: Float[Tensor, "batch length width"], tokens: int
    ) -> Float[Tensor, "batch tokens"]:
        """Return the values before the last `tokens` tokens."""
        return self.head(hidden[:, -tokens - 1 : -1].float()).squeeze(-1)


class PPOTrainer(GRPOTrainer):
    """PPO with a learned critic on the rewards of whole completions.

    The critic's parameters are a group of the host's optimizer, which thus keeps their schedule and state.

    Metrics: ``ppo/value_loss``, ``ppo/value_clip_ratio`` (once per micro-batch),
    ``ppo/explained_variance``, ``ppo/value_mean``, ``ppo/return_mean`` (once per batch of rollouts).

    Raises:
        InputError: for options that do not go together, or a set-up in which the critic cannot be kept.
    """

    args: Any  # the host declares less than it holds
    model: Any

    def __init__(
        self, model: Any, reward_funcs: Any = None, args: Any = None, *positional: Any, **keywords: Any
    ):
        if not isinstance(args, PPOConfig):
            raise InputError(f"args={args!r}: PPO needs an AEntPPOConfig; give one with an output_dir")
        super().__init__(model, reward_funcs, args, *positional, **keywords)
        self._refuse_setup()
        base = getattr(self.model, "get_base_model", lambda: self.model)()
        self.critic = Critic(base, own=args.critic == "own").to(self.accelerator.device)
        self._hidden: list[Tensor] | None = None
        if self.critic.body is None:
            base.base_model.register_forward_hook(self._keep_hidden)
        self._body = base.base_model if self.critic.body is None else self.critic.body
        if args.gradient_checkpointing and self.critic.body is not None:
            self._body.gradient_checkpointing_enable(args.gradient_checkpointing_kwargs)
        self.add_callback(_CriticStep(self))

    def _refuse_setup(self) -> None:
        if self.is_deepspeed_enabled or self.is_fsdp_enabled:
            raise InputError(
                "PPO keeps a whole critic on every rank and does not shard it; use DDP, not FSDP or ZeRO"
            )
        if self._is_vlm:
            raise InputError("PPO's critic reads text only; give a tokenizer and not a processor of images")
        if self.args.critic == "own" and hasattr(self.model, "peft_config"):
            raise InputError(
                "critic='own' would train a whole copy of the model beside a PEFT adapter; "
                "choose critic='shared'"
            )

    # Rollouts: once per batch of them

    def _calculate_rewards(self, *args: Any, **keywords: Any) -> Tensor:
        self._rewards = super()._calculate_rewards(*args, **keywords)
        return self._rewards

    def _final_rewards(self, output: Mapping[str, Any]) -> Float[Tensor, " all"]:
        """The reward of every completion on all ranks; NaN where nothing scored it."""
        each = self._rewards
        rewards = (each * self.reward_weights.to(each.device)).nansum(1)
        return rewards.masked_fill(each.isnan().all(1), torch.nan)

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        rewards = self._final_rewards(output).chunk(self.accelerator.num_processes)
        rewards = rewards[self.accelerator.process_index]
        mask = token_mask(output) * ~rewards.isnan()[:, None]
        with torch.no_grad():
            values = self._read(output) * mask
        args, reduce = self.args, cast(Reduce, partial(self.accelerator.reduce, reduction="sum"))
        advantages, returns = gae(
            terminal_rewards(rewards.nan_to_num(0.0), mask), values, mask, gamma=args.gamma, lam=args.lam
        )
        metrics = self._metrics[self._mode]
        metrics["ppo/explained_variance"].append(explained_variance(advantages, returns, mask, reduce).item())
        metrics["ppo/value_mean"].append(moments(values, mask, reduce)[0].item())
        metrics["ppo/return_mean"].append(moments(returns, mask, reduce)[0].item())
        if args.whiten:
            advantages = whiten(advantages, mask, reduce)
        means = self.accelerator.gather((advantages * mask).sum(1) / mask.sum(1).clamp(min=1))
        self._logs["advantages"].extend(cast(Tensor, means).tolist())
        return {**output, "advantages": advantages, OLD_VALUES: values, RETURNS: returns, LEARNED: mask}

    def _read(self, inputs: Mapping[str, Any]) -> Float[Tensor, "batch tokens"]:
        """Run the critic's body over prompts and completions; in slices where no gradient is needed."""
        ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
        attention = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
        size = len(ids) if torch.is_grad_enabled() else self.args.per_device_train_batch_size
        with self.accelerator.autocast():
            hidden = [
                self._body(input_ids=part, attention_mask=seen, use_cache=False).last_hidden_state
                for part, seen in zip(ids.split(size), attention.split(size), strict=True)
            ]
        return self.critic(torch.cat(hidden), inputs["completion_ids"].size(1))

    # Loss: once per micro-batch

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        with self._keeping_hidden() as hidden:
            loss = super()._compute_loss(model, inputs)
        tokens = inputs["completion_ids"].size(1)
        values = self.critic(torch.cat(hidden), tokens) if hidden else self._read(inputs)
        old, mask, clip = inputs[OLD_VALUES], inputs[LEARNED], self.args.value_clip
        losses = value_loss(values, old, inputs[RETURNS], clip=clip)
        clipped = ((values.detach() - old).abs() > clip).float()
        sums = torch.stack([masked_sum(losses.detach(), mask), masked_sum(clipped, mask), mask.sum().float()])
        total, beyond, count = cast(Tensor, self.accelerator.reduce(sums, reduction="sum")).tolist()
        if count > 0:
            self._metrics[self._mode]["ppo/value_loss"].append(total / count)
            self._metrics[self._mode]["ppo/value_clip_ratio"].append(beyond / count)
        if self._mode == "eval":  # the host's mean over a window of training does not apply
            return loss + self.args.value_coef * sums[0] / sums[2].clamp(min=1)
        return loss + self.args.value_coef * host_mean(self, inputs, losses * mask)

    @property
    def _mode(self) -> str:
        return "train" if self.model.training else "eval"

    def _keep_hidden(self, body: nn.Module, args: Any, output: Any) -> None:
        if self._hidden is not None:
            self._hidden.append(output.last_hidden_state)

    @contextmanager
    def _keeping_hidden(self) -> Iterator[list[Tensor]]:
        """Collect the hidden states of the host's forward pass; none where the critic has its own body."""
        self._hidden = hidden = []
        try:
            yield hidden
        finally:
            self._hidden = None

    # Optimizer and checkpoint

    def create_optimizer(self, model: Any = None) -> Any:
        """Make the host's optimizer, with the critic as two more groups of parameters: decaying and not."""
        optimizer = super().create_optimizer(model)
        known = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if id(self.critic.head.weight) not in known:
            decaying = set(self.get_decay_parameter_names(self.critic))
            for decays, weight_decay in ((True, self.args.weight_decay), (False, 0.0)):
                chosen = [p for n, p in self.critic.named_parameters() if (n in decaying) is decays]
                group = {"params": chosen, "lr": self.args.critic_learning_rate, "weight_decay": weight_decay}
                optimizer.add_param_group(group)
        return optimizer

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        if self.args.should_save:
            save_file(self.critic.state_dict(), Path(output_dir) / WEIGHTS)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            path = Path(checkpoint) / WEIGHTS
            if not path.exists():
                raise InputError(
                    f"{checkpoint} has no {WEIGHTS}: it was not written by PPO; resume it with its own "
                    "algorithm, or start a new run from its weights"
                )
            try:
                self.critic.load_state_dict(load_file(path))
            except RuntimeError as error:
                raise InputError(
                    f"{path} does not fit critic={self.args.critic!r} of this model; resume with the critic "
                    f"that the run was started with: {error}"
                ) from error
        super()._load_optimizer_and_scheduler(checkpoint)


class _CriticStep(TrainerCallback):
    """Around an optimizer step, what the host does for the policy: reduce, clip and clear gradients."""

    def __init__(self, trainer: PPOTrainer):
        self.trainer = trainer

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        accelerator, parameters = self.trainer.accelerator, list(self.trainer.critic.parameters())
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad = cast(Tensor, accelerator.reduce(parameter.grad, reduction="mean"))
        if args.max_grad_norm > 0:
            nn.utils.clip_grad_norm_(parameters, args.max_grad_norm)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.critic.zero_grad()


@dataclass
class AEntPPOConfig(AEntArguments, PPOConfig):
    """`trl.GRPOConfig` with the options of a critic, `aent_method` and `aent_update`."""


class AEntPPOTrainer(AEntMixin, PPOTrainer):
    """PPO with an entropy method; takes what `trl.GRPOTrainer` takes, an `AEntPPOConfig`, and `method`."""

    _tag_names = ["trl", "ppo", "aent"]  # noqa: RUF012  (the host's form)
    _name = "PPO with AEnt"

    def _final_rewards(self, output: Mapping[str, Any]) -> Float[Tensor, " all"]:
        rewards = super()._final_rewards(output)
        if self.method.rewards is None or not self.model.training:
            return rewards
        grouped = self._aent_grouped_rewards()
        rollouts = Rollouts(rewards=filled(grouped), mean_logp=partial(self._aent_mean_logp, output))
        changed = changed_rewards(self.method, rollouts)
        return changed.masked_fill(grouped.isnan(), torch.nan).flatten()
