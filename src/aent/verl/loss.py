"""Once per micro-batch, on a worker: verl's own loss, with the method around it.

The maths is in `aent.objective`.
"""

import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from verl.utils import tensordict_utils as tu  # pyright: ignore[reportMissingImports]
from verl.utils.metric import AggregationType, Metric  # pyright: ignore[reportMissingImports]
from verl.workers.utils.padding import (  # pyright: ignore[reportMissingImports]
    no_padding_2_padding,
    response_to_nested,
)

from aent.errors import InputError
from aent.method import Edge, Method, Tokens
from aent.objective import clip_edges, token_advantages, with_terms
from aent.ops import EntropySlopes
from aent.steering import window_sums
from aent.verl.host import gather_all, host_mean

STEP, SOLVED, GROUP_REWARD = "aent", "aent_solved", "aent_group_reward"
"""What the driver adds to a batch: the state of the controller, and two numbers per rollout."""
FULL_ENTROPY, SLOPES = "aent_full_entropy", "aent_slopes"
"""What the engine adds to its outputs."""
OLD_ENTROPY = "entropy"
"""Where verl keeps the entropy of the old policy, beside its log-probabilities."""


@dataclass(frozen=True)
class MethodLoss:
    """What an engine of verl calls in place of `host_loss`, which is verl's own ``ppo_loss``."""

    method: Method
    host_loss: Any
    """``partial(ppo_loss, config=...)``, as verl's worker made it."""

    @property
    def config(self) -> Any:
        """verl's configuration of the actor."""
        return self.host_loss.keywords["config"]

    def __call__(
        self, model_output: dict[str, Any], data: Any, dp_group: Any = None
    ) -> tuple[Float[Tensor, ""], dict[str, Any]]:
        """Return verl's loss with the method's terms, and verl's metrics with the sums of `Sums`."""
        tokens = self.see(model_output, data, dp_group)
        unseen = replace(tokens, logp=tokens.logp.detach(), entropy=tokens.entropy.detach())
        shaped = token_advantages(self.method, unseen)
        edges = clip_edges(self.method, replace(unseen, advantages=shaped))
        tokens = replace(tokens, advantages=shaped, clip=edges)
        loss, metrics = self.host_loss(
            model_output={
                "log_probs": model_output["log_probs"],
                "entropy": self._host_entropy(model_output),
            },
            data=self._shaped(data, shaped),
            dp_group=dp_group,
            config=self._clipped(edges),
        )
        averages: dict[str, Any] = {
            "host_mean": partial(host_mean, self.config, tokens.mask),
            "count": data["batch_num_tokens"] / data["dp_size"],
        }
        sums = window_sums(self.method, tokens, **averages)
        values = torch.stack([x.double() for x in sums]).tolist()  # waits for the device once
        metrics |= {
            f"aent/{name}": Metric(value=value, aggregation=AggregationType.SUM)
            for name, value in zip(sums._fields, values, strict=True)
        }
        return with_terms(loss, self.method, tokens, **averages), metrics

    def see(self, model_output: dict[str, Any], data: Any, dp_group: Any) -> Tokens:
        """Return what the method sees of a micro-batch, before it changes anything.

        Raises:
            InputError: if the batch or the engine's output lacks what aent adds to them.
        """
        step = tu.get_non_tensor_data(data, key=STEP, default=None)
        if step is None or FULL_ENTROPY not in model_output:
            raise InputError(
                "this batch came without a coefficient, or from a forward pass without the clamped "
                "entropy; train with trainer.v1.trainer_mode=aent_sync, aent_colocate_async or "
                "aent_separate_async"
            )
        if self.method.needs_old_entropy and OLD_ENTROPY not in data:
            raise InputError(f"method {self.method.name!r} needs the old policy's entropy; verl sent none")
        slopes = model_output.get(SLOPES)
        weights = data.get("rollout_is_weights", None)
        return Tokens(
            logp=no_padding_2_padding(model_output["log_probs"], data),
            old_logp=_padded(data["old_log_probs"]),
            entropy=no_padding_2_padding(model_output["entropy"], data),
            full_entropy=no_padding_2_padding(model_output[FULL_ENTROPY], data).detach(),
            slopes=None if slopes is None else EntropySlopes(*no_padding_2_padding(slopes, data).unbind(-1)),
            advantages=_padded(data["advantages"]),
            mask=_padded(data["response_mask"]).float(),
            old_entropy=_padded(data[OLD_ENTROPY]) if OLD_ENTROPY in data else None,
            ref_logp=_padded(data["ref_log_prob"]) if "ref_log_prob" in data else None,
            group_reward=_per_rollout(data, GROUP_REWARD),
            solved=_per_rollout(data, SOLVED),
            clip=_edges(self.config),
            weight=1.0 if weights is None else _padded(weights),
            gather=partial(gather_all, dp_group),
            **step,
        )

    def _host_entropy(self, model_output: dict[str, Any]) -> Tensor:
        """Return the entropy that verl logs; it carries gradient only if verl adds a bonus of its own."""
        return model_output[FULL_ENTROPY if self.config.entropy_coeff == 0 else "entropy"]

    def _shaped(self, data: Any, advantages: Float[Tensor, "batch tokens"]) -> Any:
        """Return the batch with the method's advantages, laid out as verl's; verl's own stays as it is."""
        if self.method.token_advantages is None:
            return data
        data = data.clone(recurse=False)
        mask = data["response_mask"]
        data["advantages"] = response_to_nested(advantages, mask) if mask.is_nested else advantages
        return data

    def _clipped(self, edges: tuple[Edge, Edge]) -> Any:
        """Return verl's configuration with the method's clipping range, which may be one per token."""
        if self.method.clip is None:
            return self.config
        config = copy.copy(self.config)
        for name, edge in zip(("clip_ratio_low", "clip_ratio_high"), edges, strict=True):
            object.__setattr__(config, name, edge)  # verl's class is frozen; this is a copy
        return config


def _edges(config: Any) -> tuple[float, float]:
    """Return the clipping range of verl's loss: its two edges, or what holds for both."""
    low, high = config.clip_ratio_low, config.clip_ratio_high
    return (config.clip_ratio if low is None else low), (config.clip_ratio if high is None else high)


def _padded(values: Tensor) -> Float[Tensor, "batch tokens"]:
    return values.to_padded_tensor(0) if values.is_nested else values


def _per_rollout(data: Any, name: str) -> Float[Tensor, " batch"] | None:
    if name not in data:
        return None
    values = data[name]
    return (values.values() if values.is_nested else values).reshape(-1)
