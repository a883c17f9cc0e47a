"""GRPO and RLOO of TRL with an entropy method. No maths here: see `objective`, `ops` and `controllers`."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import TrainerCallback
from trl import GRPOTrainer, RLOOTrainer

from aent.controllers import Effect, Foresighted
from aent.errors import InputError
from aent.method import Method, Rollouts, Tokens
from aent.methods.load import load_method
from aent.objective import (
    clip_edges,
    first_order_effect,
    masked_sum,
    measure_weights,
    rollout_advantages,
    token_advantages,
    with_terms,
)
from aent.subsets import Full
from aent.trl.head import EntropyHead, ForwardPass, check_host
from aent.trl.host import (
    VISION,
    filled,
    gather_all,
    group_baseline,
    has_token_ratio,
    host_mean,
    solved,
    token_mask,
)
from aent.trl.refusals import fitted
from aent.trl.rewards import checked_reward

STATE_KEY = "aent"
OLD_LOGP, GROUP_REWARD, SOLVED = "aent_old_logp", "aent_group_reward", "aent_solved"  # with the rollouts


class AEntMixin:
    """Adds an entropy method to a trainer that keeps TRL's `_compute_loss`. List it before the trainer.

    Metrics, per logging step: ``aent/entropy`` (what the controller is shown: over the method's subset,
    nats per token), ``aent/full_entropy`` and, for a method with a controller, ``aent/coef``, for one with
    a band, ``aent/low`` and ``aent/high``.

    Args:
        method: a `Method`, a name, a mapping or a dotted path (see `aent.methods.load_method`); taken
            from ``args.aent_method`` where it is not given, and ``aent`` where neither is.

    Raises:
        InputError: for an unknown method, one that does not fit the algorithm or its options, TRL's own
            entropy bonus switched on beside ours, or a version of TRL that aent does not know.
    """

    def __init__(
        self,
        model: Any,
        reward_funcs: Any = None,
        args: Any = None,
        *positional: Any,
        method: str | Mapping[str, Any] | Method | None = None,
        **keywords: Any,
    ):
        check_host(model)
        configured = getattr(args, "aent_method", None)
        if method is not None and configured is not None:
            raise InputError(
                f"two methods were given: method={method!r} to the trainer and "
                f"aent_method={configured!r} in its args; give one"
            )
        given = configured if method is None else method
        self.method = load_method("aent" if given is None else given)
        if args is not None:
            args = fitted(args, self.method)
        self._aent_forward: ForwardPass | None = None
        self._aent_scored: list[Tensor] | None = None
        super().__init__(model, _checked(reward_funcs), args, *positional, **keywords)  # type: ignore[call-arg]
        if paper := self.method.paper:  # what the model card cites
            self._paper = {"title": paper.title, "id": paper.arxiv, "citation": paper.citation}
        self.controller = copy.deepcopy(self.method.controller)
        self._aent_window = torch.zeros(6)  # sums: clamped and full entropy, their weights, pull and push
        self._aent_buffer: Any = None
        self._aent_tokens = 1.0
        self._aent_rollouts = 0
        self._aent_last_entropy: float | None = None
        self._aent_head: EntropyHead | None = None
        if self.method.parts:
            cast(Any, self).add_callback(_Controlling(self))
        if not isinstance(self.method.subset, Full) or "bonus" in self.method.parts:
            self._aent_head = EntropyHead(self.method.subset)
            self._aent_head.slopes = isinstance(self.controller, Foresighted)
            host_model = cast(Any, self).model
            base = getattr(host_model, "get_base_model", lambda: host_model)()
            self._aent_head.attach(base)
        self._aent_switch_head()

    @property
    def coef(self) -> float:
        """The coefficient in force (0 for a method without one)."""
        return 0.0 if self.controller is None else self.controller.coef

    def _aent_switch_head(self) -> None:
        if self._aent_head is not None:
            self._aent_head.bonus = "bonus" in self.method.parts and self.coef != 0

    # Rollouts: once per batch of them

    def _calculate_rewards(self, *args: Any, **keywords: Any) -> Tensor:
        self._aent_rewards = super()._calculate_rewards(*args, **keywords)  # type: ignore[misc]
        return self._aent_rewards

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        if not (self.method.parts and cast(Any, self).model.training):
            return super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        self._aent_scored = scored = []
        try:
            output = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        finally:
            self._aent_scored = None
        if "old_per_token_logps" not in output and "old_logps" in output:  # RLOO keeps their sums only
            output[OLD_LOGP] = scored[0]
        rewards = self._aent_grouped_rewards()
        if rewards.size(1) > 1:
            known = filled(rewards)
            output[GROUP_REWARD] = self._aent_local(known.mean(1, keepdim=True).expand_as(known))
            output[SOLVED] = self._aent_local(solved(known))
        if self.method.group_advantages or (self.method.rewards and not hasattr(self, "critic")):
            kl = scored[0] - scored[1] if OLD_LOGP in output and len(scored) > 1 else None
            self._aent_set_advantages(output, rewards, kl)
        return output

    def _aent_set_advantages(
        self, output: dict[str, Any], rewards: Float[Tensor, "groups size"], kl: Tensor | None
    ) -> None:
        """Put the method's advantages in the place of the host's, in its log as well."""
        if kl is not None:
            summed = (kl * output["completion_mask"]).sum(1)
            kl = cast(Any, self).accelerator.gather(summed).view_as(rewards)
        unscored = rewards.isnan()
        made = rollout_advantages(
            self.method,
            Rollouts(rewards=filled(rewards), mean_logp=partial(self._aent_mean_logp, output)),
            lambda changed: group_baseline(self, changed.masked_fill(unscored, torch.nan), kl),
        )
        made = made.masked_fill(unscored, 0.0).nan_to_num(0.0)
        output["advantages"] = self._aent_local(made)
        cast(Any, self)._logs["advantages"].extend(made.flatten().tolist())

    def _aent_grouped_rewards(self) -> Float[Tensor, "groups size"]:
        """The summed reward of every completion on all ranks; NaN where nothing scored it."""
        host, each = cast(Any, self), self._aent_rewards
        rewards = (each * host.reward_weights.to(each.device)).nansum(1)
        rewards = rewards.masked_fill(each.isnan().all(1), torch.nan)
        return rewards.view(-1, host.num_generations)

    def _aent_local(self, values: Float[Tensor, "groups size"]) -> Float[Tensor, " batch"]:
        """The part of this rank."""
        accelerator = cast(Any, self).accelerator
        return values.flatten().chunk(accelerator.num_processes)[accelerator.process_index]

    def _aent_mean_logp(self, output: Mapping[str, Any]) -> Float[Tensor, "groups size"]:
        """Mean log-probability per token of all completions; scores them where the host did not."""
        host = cast(Any, self)
        logp = output.get("old_per_token_logps", output.get(OLD_LOGP))
        if logp is None:
            with torch.no_grad():
                logp = self._aent_score(output)
        mask = token_mask(output)
        mean = (logp * mask).sum(1) / mask.sum(1).clamp(min=1)
        return host.accelerator.gather(mean).view(-1, host.num_generations)

    def _aent_score(self, output: Mapping[str, Any]) -> Float[Tensor, "batch tokens"]:
        """Log-probabilities of completions under the model, in the host's own forward."""
        host = cast(Any, self)
        ids = torch.cat([output["prompt_ids"], output["completion_ids"]], 1)
        attention = torch.cat([output["prompt_mask"], output["completion_mask"]], 1)
        logp, _, _ = host._get_per_token_logps_and_entropies(
            host.model,
            ids,
            attention,
            output["completion_ids"].size(1),
            batch_size=host.args.per_device_train_batch_size,
            **{name: output[name] for name in VISION if name in output},
        )
        return logp

    # Loss: once per micro-batch

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        inputs = super()._prepare_inputs(generation_batch)  # type: ignore[misc]
        host = cast(Any, self)
        if host.model.training and host._buffered_inputs is not self._aent_buffer:
            self._aent_buffer = host._buffered_inputs
            counts = torch.stack([token_mask(batch).sum() for batch in host._buffered_inputs])
            total = host.accelerator.reduce(counts.sum().float(), reduction="sum").item()
            self._aent_tokens = max(total, 1.0) / host.accelerator.num_processes
        return inputs

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        if not self.method.parts:
            return super()._compute_loss(model, inputs)  # type: ignore[misc]
        with self._aent_in_forward({**inputs}) as forward:
            loss = super()._compute_loss(model, forward.inputs)  # type: ignore[misc]
        tokens, full = forward.tokens, forward.full_entropy
        weight, mask = measure_weights(self.method, tokens), tokens.mask
        sums = [masked_sum(tokens.entropy, weight), masked_sum(full, mask), weight.sum(), mask.sum()]
        mean, count = partial(host_mean, self, inputs), self._aent_normalizer()
        effect = first_order_effect(self.method, tokens, host_mean=mean, count=count)
        window = torch.stack([s.detach().float() for s in (*sums, *effect)])
        if not cast(Any, self).model.training:
            self._aent_log("eval", self._aent_reduced(window))
            return loss
        self._aent_window = self._aent_window.to(window.device) + window
        return with_terms(loss, self.method, tokens, host_mean=mean, count=count)

    @contextmanager
    def _aent_in_forward(self, inputs: dict[str, Any]) -> Iterator[ForwardPass]:
        """Let the method see the tokens between the host's forward pass and its loss."""
        host = cast(Any, self)
        edges = host.epsilon_low, host.epsilon_high
        self._aent_forward = ForwardPass(inputs)
        try:
            if self._aent_head is None:
                yield self._aent_forward
            else:
                with self._aent_head.recording() as self._aent_forward.recorded:
                    yield self._aent_forward
        finally:
            self._aent_forward = None
            host.epsilon_low, host.epsilon_high = edges

    def _get_per_token_logps_and_entropies(self, *args: Any, **keywords: Any) -> Any:
        logp, full, aux = super()._get_per_token_logps_and_entropies(*args, **keywords)  # type: ignore[misc]
        if self._aent_scored is not None:
            self._aent_scored.append(logp)
        if self._aent_forward is not None:
            logp = self._aent_before_loss(self._aent_forward, logp, full)
        return logp, full, aux

    def _aent_before_loss(self, forward: ForwardPass, logp: Tensor, full: Tensor) -> Tensor:
        """Show the method the tokens; what it changes goes where the host will read it."""
        host, inputs = cast(Any, self), forward.inputs
        forward.full_entropy = full
        forward.tokens = tokens = self._aent_see(forward, logp, full)
        if not host.model.training:
            return logp
        unseen = replace(tokens, logp=logp.detach(), entropy=tokens.entropy.detach())
        shaped = token_advantages(self.method, unseen)
        edges = clip_edges(self.method, replace(unseen, advantages=shaped))
        forward.tokens = replace(tokens, advantages=shaped, clip=edges)
        host.epsilon_low, host.epsilon_high = edges
        if self.method.token_advantages:
            if has_token_ratio(host.args):
                inputs["advantages"] = shaped
            else:  # one ratio per completion: the weight of a token is that of its gradient
                weight = torch.where(tokens.advantages == 0, 1.0, shaped / tokens.advantages)
                logp = logp.detach() + weight * (logp - logp.detach())
        return logp

    def _aent_see(self, forward: ForwardPass, logp: Tensor, full: Tensor) -> Tokens:
        host, inputs = cast(Any, self), forward.inputs
        mask, advantages = token_mask(inputs), inputs["advantages"]
        entropy, slopes = (full, None) if self._aent_head is None else forward.statistics(mask.size(1))
        if entropy.shape != mask.shape:
            raise InputError(
                f"TRL scored tokens of shape {tuple(entropy.shape)} for a mask of {tuple(mask.shape)}; "
                "this version of TRL is not one aent knows, install trl>=1.16,<2"
            )
        return Tokens(
            logp=logp,
            old_logp=inputs.get("old_per_token_logps", inputs.get(OLD_LOGP, logp.detach())),
            entropy=entropy,
            slopes=slopes if host.model.training else None,
            advantages=(advantages if advantages.dim() == 2 else advantages[:, None]).expand_as(logp),
            mask=mask,
            ref_logp=inputs.get("ref_per_token_logps"),
            group_reward=inputs.get(GROUP_REWARD),
            solved=inputs.get(SOLVED),
            remaining=1 - host.state.global_step / max(host.state.max_steps, 1),
            clip=(host.epsilon_low, host.epsilon_high),
            weight=inputs.get("importance_sampling_ratio", 1.0),
            coef=self.coef,
            last_entropy=self._aent_last_entropy,
            band=None if self.controller is None else self.controller.band,
            gather=partial(gather_all, host.accelerator),
        )

    def _aent_normalizer(self) -> float:
        """Tokens of one rank behind one optimiser step; the host divides by what it does not find here."""
        host = cast(Any, self)
        share = host.current_gradient_accumulation_steps / host.args.steps_per_generation
        tokens = self._aent_tokens * share
        return tokens if host.loss_is_scaled_for_ga else tokens / host.current_gradient_accumulation_steps

    # Controller: once per optimiser step

    def _aent_reduced(self, window: Tensor) -> list[float]:
        return cast(Any, self).accelerator.reduce(window, reduction="sum").tolist()

    def _aent_log(self, mode: str, sums: list[float]) -> float | None:
        """Log the entropies of a window summed over ranks; return the clamped one, None without tokens."""
        host = cast(Any, self)
        clamped, full, weight, count = sums[:4]
        metrics = host._metrics[mode]
        if count > 0:
            metrics["aent/full_entropy"].append(full / count)
        if weight == 0:
            return None
        metrics["aent/entropy"].append(clamped / weight)
        return clamped / weight

    def _aent_step_end(self) -> None:
        """After an optimiser step: log, and let the controller see the window where it is complete."""
        host = cast(Any, self)
        metrics = host._metrics["train"]
        if self.controller is not None:
            metrics["aent/coef"].append(self.controller.coef)
            for name, edge in zip(("aent/low", "aent/high"), self.controller.band or (), strict=False):
                metrics[name].append(edge)
        rollouts = host._step // (host.args.steps_per_generation * host.num_iterations)
        if getattr(host.args, "aent_update", "step") == "rollout" and rollouts == self._aent_rollouts:
            return
        self._aent_rollouts = rollouts
        sums = self._aent_reduced(self._aent_window)
        entropy = self._aent_log("train", sums)
        self._aent_window = torch.zeros_like(self._aent_window)
        if entropy is not None and self.controller is not None:
            self._aent_last_entropy = entropy
            if isinstance(self.controller, Foresighted):
                self.controller.foresee(Effect(pull=sums[4], push=sums[5]))
            self.controller.update(entropy)
            self._aent_switch_head()

    def _aent_state(self) -> dict[str, Any]:
        return {
            "method": self.method.name,
            "controller": {} if self.controller is None else self.controller.state_dict(),
            "window": self._aent_window.tolist(),
            "measured": self._aent_last_entropy,
        }

    def _aent_restore(self, state: Mapping[str, Any]) -> None:
        if state["method"] != self.method.name:
            raise InputError(
                f"the checkpoint was written by method {state['method']!r}, not {self.method.name!r}; "
                "resume with that method, or start a new run from the checkpoint's weights"
            )
        if self.controller is not None:
            self.controller.load_state_dict(state["controller"])
        self._aent_window = torch.tensor(state["window"])
        self._aent_last_entropy = state["measured"]
        self._aent_switch_head()


class _Controlling(TrainerCallback):
    """Runs the controller once per optimiser step and keeps its state in ``trainer_state.json``."""

    def __init__(self, trainer: AEntMixin):
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if STATE_KEY in state.stateful_callbacks:
            self.trainer._aent_restore(state.stateful_callbacks[STATE_KEY]["attributes"])

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer._aent_step_end()
        attributes = self.trainer._aent_state()
        state.stateful_callbacks[STATE_KEY] = {"args": {}, "attributes": attributes}


class AEntGRPOTrainer(AEntMixin, GRPOTrainer):
    """`trl.GRPOTrainer` with an entropy method; takes what that takes, and `method`."""

    _tag_names = ["trl", "grpo", "aent"]  # noqa: RUF012  (the host's form)
    _name = "GRPO with AEnt"


class AEntRLOOTrainer(AEntMixin, RLOOTrainer):
    """`trl.RLOOTrainer` with an entropy method; takes what that takes, and `method`."""

    _tag_names = ["trl", "rloo", "aent"]  # noqa: RUF012
    _name = "RLOO with AEnt"


def _checked(reward_funcs: Any) -> Any:
    if isinstance(reward_funcs, list):
        return [checked_reward(f) for f in reward_funcs]
    return checked_reward(reward_funcs)
