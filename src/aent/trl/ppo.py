"""PPO on the rollouts of TRL's GRPO: a critic, advantages for single tokens, and the critic's loss.

TRL's `_compute_loss` accepts advantages of shape (batch, tokens) as well as (batch,). The clipped surrogate,
the KL term and all masks are therefore TRL's; this module adds where the advantages come from.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from trl import GRPOTrainer

from aent.advantages import explained_variance, gae, moments, terminal_rewards, value_loss, whiten
from aent.errors import InputError
from aent.objective import masked_sum
from aent.trl.config import PPOConfig
from aent.trl.critic import Critic, CriticStep
from aent.trl.finite import FiniteSteps
from aent.trl.host import Host, Kind, gathered, host_mean, log_advantages, reduced, summed_rewards, token_mask
from aent.trl.trainers import AEntMixin

WEIGHTS = "critic.safetensors"
OLD_VALUES, RETURNS, LEARNED = "ppo_old_values", "ppo_returns", "ppo_mask"
"""Columns added to the rollouts, which TRL shuffles and splits with the rest."""


class PPOTrainer(GRPOTrainer):
    """PPO with a learned critic, on rewards of whole completions.

    The critic's parameters are a group of the host's optimizer, which gives them its schedule and keeps their
    state in checkpoints.

    Metrics: ``ppo/value_loss``, ``ppo/value_clip_ratio`` (once per micro-batch),
    ``ppo/explained_variance``, ``ppo/value_mean``, ``ppo/return_mean`` (once per batch of rollouts).

    Raises:
        InputError: for options that do not go together, or a setup that PPO does not support.
    """

    args: Any  # TRL declares fewer fields than it has
    model: Any

    def __init__(
        self, model: Any, reward_funcs: Any = None, args: Any = None, *positional: Any, **keywords: Any
    ):
        if not isinstance(args, PPOConfig):
            raise InputError(f"args={args!r}: PPO needs an AEntPPOConfig; give one with an output_dir")
        super().__init__(model, reward_funcs, args, *positional, **keywords)
        self._refuse_setup()
        self._host, self._kind = cast(Host, self), Kind.of(self.args)
        base = getattr(self.model, "get_base_model", lambda: self.model)()
        self.critic = Critic(base, own=args.critic == "own").to(self.accelerator.device)
        self._hidden: list[Tensor] | None = None
        if self.critic.body is None:
            base.base_model.register_forward_hook(self._keep_hidden)
        self._body = base.base_model if self.critic.body is None else self.critic.body
        if args.gradient_checkpointing and self.critic.body is not None:
            self._body.gradient_checkpointing_enable(args.gradient_checkpointing_kwargs)
            self._body.train()  # a loaded policy is in evaluation mode, where layers keep all activations
        self.add_callback(CriticStep(self.critic, self.accelerator, FiniteSteps(self._host)))

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

    # Once per batch of rollouts

    def _calculate_rewards(self, *args: Any, **keywords: Any) -> Tensor:
        self._rewards = super()._calculate_rewards(*args, **keywords)
        return self._rewards

    def _final_rewards(self, output: Mapping[str, Any]) -> Float[Tensor, " all"]:
        """The reward of every completion of all ranks; NaN where nothing scored it."""
        return summed_rewards(self._host, self._rewards)

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        rewards = self._final_rewards(output).chunk(self.accelerator.num_processes)
        rewards = rewards[self.accelerator.process_index]
        mask = token_mask(output) * ~rewards.isnan()[:, None]
        with torch.no_grad():
            values = self._read(output) * mask
        advantages, returns = gae(
            terminal_rewards(rewards.nan_to_num(0.0), mask),
            values,
            mask,
            gamma=self.args.gamma,
            lam=self.args.lam,
        )
        reduce = partial(reduced, self.accelerator)
        metrics = self._metrics[self._mode]
        metrics["ppo/explained_variance"].append(explained_variance(advantages, returns, mask, reduce).item())
        metrics["ppo/value_mean"].append(moments(values, mask, reduce)[0].item())
        metrics["ppo/return_mean"].append(moments(returns, mask, reduce)[0].item())
        if self.args.whiten:
            advantages = whiten(advantages, mask, reduce)
        means = gathered(self.accelerator, (advantages * mask).sum(1) / mask.sum(1).clamp(min=1))
        log_advantages(self._host, means.tolist())
        return {**output, "advantages": advantages, OLD_VALUES: values, RETURNS: returns, LEARNED: mask}

    def _read(self, inputs: Mapping[str, Any]) -> Float[Tensor, "batch tokens"]:
        """Return the critic's values; without gradient, in slices of the micro-batch size."""
        ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
        attention = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
        size = len(ids) if torch.is_grad_enabled() else self.args.per_device_train_batch_size
        with self.accelerator.autocast():
            hidden = [
                self._body(input_ids=part, attention_mask=seen, use_cache=False).last_hidden_state
                for part, seen in zip(ids.split(size), attention.split(size), strict=True)
            ]
        return self.critic(torch.cat(hidden), inputs["completion_ids"].size(1))

    # Once per micro-batch

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        with self._keeping_hidden() as hidden:
            loss = super()._compute_loss(model, inputs)
        tokens = inputs["completion_ids"].size(1)
        values = self.critic(torch.cat(hidden), tokens) if hidden else self._read(inputs)
        old, mask, clip = inputs[OLD_VALUES], inputs[LEARNED], self.args.value_clip
        losses = value_loss(values, old, inputs[RETURNS], clip=clip)
        clipped = ((values.detach() - old).abs() > clip).float()
        sums = torch.stack([masked_sum(losses.detach(), mask), masked_sum(clipped, mask), mask.sum().float()])
        total, beyond, count = reduced(self.accelerator, sums).tolist()
        if count > 0:
            self._metrics[self._mode]["ppo/value_loss"].append(total / count)
            self._metrics[self._mode]["ppo/value_clip_ratio"].append(beyond / count)
        if self._mode == "eval":  # TRL's average over a training step does not apply
            return loss + self.args.value_coef * sums[0] / sums[2].clamp(min=1)
        return loss + self.args.value_coef * host_mean(self._host, self._kind, inputs, losses * mask)

    @property
    def _mode(self) -> str:
        return "train" if self.model.training else "eval"

    def _keep_hidden(self, body: nn.Module, args: Any, output: Any) -> None:
        if self._hidden is not None:
            self._hidden.append(output.last_hidden_state)

    @contextmanager
    def _keeping_hidden(self) -> Iterator[list[Tensor]]:
        """Collect the hidden states of the host's forward pass; none if the critic has its own body."""
        self._hidden = hidden = []
        try:
            yield hidden
        finally:
            self._hidden = None

    # Optimizer and checkpoint

    def create_optimizer(self, model: Any = None) -> Any:
        """Create the host's optimizer, with the critic as two more groups of parameters."""
        optimizer = super().create_optimizer(model)
        self.critic.join(
            optimizer,
            decaying=set(self.get_decay_parameter_names(self.critic)),
            lr=self.args.critic_learning_rate,
            weight_decay=self.args.weight_decay,
        )
        return optimizer

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        if self.args.should_save:
            save_file(self.critic.state_dict(), Path(output_dir) / WEIGHTS)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            self._load_critic(Path(checkpoint))
        super()._load_optimizer_and_scheduler(checkpoint)

    def _load_critic(self, checkpoint: Path) -> None:
        path = checkpoint / WEIGHTS
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


class AEntPPOTrainer(AEntMixin, PPOTrainer):
    """PPO with an entropy method; takes what `trl.GRPOTrainer` takes, an `AEntPPOConfig`, and `method`."""

    _tag_names = ["trl", "ppo", "aent"]  # noqa: RUF012  (TRL's form)
    _name = "PPO with AEnt"

    def _final_rewards(self, output: Mapping[str, Any]) -> Float[Tensor, " all"]:
        if self.method.rewards is None or not self.model.training:
            return super()._final_rewards(output)
        return self._aent_rollouts.changed(output)
