"""GRPO and RLOO of TRL with an entropy method. No maths here: see `objective`, `ops` and `controllers`."""

import copy
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor
from transformers import TrainerCallback
from trl import GRPOTrainer, RLOOTrainer

from aent.errors import InputError
from aent.methods import Method, load_method
from aent.methods.clamped import AENT
from aent.objective import masked_sum, with_bonus
from aent.trl.head import EntropyHead, check_host
from aent.trl.rewards import checked_reward

STATE_KEY = "aent"


class AEntMixin:
    """Adds an entropy method to a trainer that keeps TRL's `_compute_loss`. List it before the trainer.

    Metrics, per logging step: ``aent/coef``, ``aent/entropy`` (clamped, nats per token),
    ``aent/full_entropy`` and, for a method with a band, ``aent/low`` and ``aent/high``.

    Args:
        method: a `Method`, a name, a mapping or a dotted path (see `aent.methods.load_method`); taken
            from ``args.aent_method`` where it is not given, and ``aent`` where neither is.

    Raises:
        InputError: for an unknown method, TRL's own entropy bonus switched on beside ours, or a
            version of TRL that aent does not know.
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
        refuse_second_bonus(args, self.method)
        super().__init__(model, _checked(reward_funcs), args, *positional, **keywords)  # type: ignore[call-arg]
        self.controller = copy.deepcopy(self.method.controller)
        self._aent_window = torch.zeros(3)  # sums over tokens: clamped entropy, full entropy, count
        self._aent_buffer: Any = None
        self._aent_tokens = 1.0
        self._aent_rollouts = 0
        if self.controller is not None:
            self._aent_head = EntropyHead(self.method.subset)
            host_model = cast(Any, self).model
            base = getattr(host_model, "get_base_model", lambda: host_model)()
            self._aent_head.attach(base)
            self._aent_head.bonus = self.controller.coef != 0
            cast(Any, self).add_callback(_Controlling(self))

    @property
    def coef(self) -> float:
        """The coefficient in force (0 for a method without one)."""
        return 0.0 if self.controller is None else self.controller.coef

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        inputs = super()._prepare_inputs(generation_batch)  # type: ignore[misc]
        host = cast(Any, self)
        if host.model.training and host._buffered_inputs is not self._aent_buffer:
            self._aent_buffer = host._buffered_inputs
            counts = torch.stack([_mask(batch).sum() for batch in host._buffered_inputs])
            total = host.accelerator.reduce(counts.sum().float(), reduction="sum").item()
            self._aent_tokens = max(total, 1.0) / host.accelerator.num_processes
        return inputs

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        if self.controller is None:
            return super()._compute_loss(model, inputs)  # type: ignore[misc]
        with self._aent_head.recording() as recorded:
            loss = super()._compute_loss(model, inputs)  # type: ignore[misc]
        mask = _mask(inputs)
        entropy = torch.cat([clamped for clamped, _ in recorded])[:, -mask.size(1) :]
        full = torch.cat([full for _, full in recorded])[:, -mask.size(1) :]
        if entropy.shape != mask.shape:
            raise InputError(
                f"TRL scored tokens of shape {tuple(entropy.shape)} for a mask of {tuple(mask.shape)}; "
                "this version of TRL is not one aent knows, install trl>=1.16,<2"
            )
        sums = [masked_sum(entropy, mask), masked_sum(full, mask), mask.sum()]
        window = torch.stack([s.detach().float() for s in sums])
        if not cast(Any, self).model.training:
            self._aent_log("eval", window)
            return loss
        self._aent_window = self._aent_window.to(window.device) + window
        if self.coef == 0:
            return loss
        return with_bonus(loss, entropy, mask, coef=self.coef, tokens=self._aent_normalizer())

    def _aent_normalizer(self) -> float:
        """Tokens of one rank behind one optimiser step; the host divides by what it does not find here."""
        host = cast(Any, self)
        share = host.current_gradient_accumulation_steps / host.args.steps_per_generation
        tokens = self._aent_tokens * share
        return tokens if host.loss_is_scaled_for_ga else tokens / host.current_gradient_accumulation_steps

    def _aent_log(self, mode: str, window: Tensor) -> float | None:
        """Log the entropies of a window summed over ranks; return the clamped one, None without tokens."""
        host = cast(Any, self)
        clamped, full, count = host.accelerator.reduce(window, reduction="sum").tolist()
        if count == 0:
            return None
        metrics = host._metrics[mode]
        metrics["aent/entropy"].append(clamped / count)
        metrics["aent/full_entropy"].append(full / count)
        return clamped / count

    def _aent_step_end(self) -> None:
        """After an optimiser step: log, and let the controller see the window where it is complete."""
        assert self.controller is not None
        host = cast(Any, self)
        metrics = host._metrics["train"]
        metrics["aent/coef"].append(self.controller.coef)
        if self.controller.band is not None:
            for name, edge in zip(("aent/low", "aent/high"), self.controller.band, strict=True):
                metrics[name].append(edge)
        rollouts = host._step // (host.args.steps_per_generation * host.num_iterations)
        if getattr(host.args, "aent_update", "step") == "rollout" and rollouts == self._aent_rollouts:
            return
        self._aent_rollouts = rollouts
        entropy = self._aent_log("train", self._aent_window)
        self._aent_window = torch.zeros_like(self._aent_window)
        if entropy is not None:
            self._aent_head.bonus = self.controller.update(entropy) != 0

    def _aent_state(self) -> dict[str, Any]:
        assert self.controller is not None
        return {
            "method": self.method.name,
            "controller": self.controller.state_dict(),
            "window": self._aent_window.tolist(),
        }

    def _aent_restore(self, state: Mapping[str, Any]) -> None:
        assert self.controller is not None
        if state["method"] != self.method.name:
            raise InputError(
                f"the checkpoint was written by method {state['method']!r}, not {self.method.name!r}; "
                "resume with that method, or start a new run from the checkpoint's weights"
            )
        self.controller.load_state_dict(state["controller"])
        self._aent_window = torch.tensor(state["window"])
        self._aent_head.bonus = self.controller.coef != 0


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
    _paper = {"title": AENT.title, "id": AENT.arxiv, "citation": AENT.citation}  # noqa: RUF012


class AEntRLOOTrainer(AEntMixin, RLOOTrainer):
    """`trl.RLOOTrainer` with an entropy method; takes what that takes, and `method`."""

    _tag_names = ["trl", "rloo", "aent"]  # noqa: RUF012
    _name = "RLOO with AEnt"
    _paper = {"title": AENT.title, "id": AENT.arxiv, "citation": AENT.citation}  # noqa: RUF012


def _mask(inputs: Mapping[str, Any]) -> Tensor:
    """The tokens that count: of the completion, not truncated, not written by a tool."""
    mask = inputs["completion_mask"]
    tool_mask = inputs.get("tool_mask")
    return mask if tool_mask is None else mask * tool_mask


def _checked(reward_funcs: Any) -> Any:
    if isinstance(reward_funcs, list):
        return [checked_reward(f) for f in reward_funcs]
    return checked_reward(reward_funcs)


def refuse_second_bonus(args: Any, method: Method) -> None:
    """Raise where TRL's own entropy bonus is on as well: two would fight over one quantity.

    Raises:
        InputError: naming TRL's option.
    """
    if method.controller is None or args is None:
        return
    for name in ("entropy_coef", "use_adaptive_entropy"):
        value = getattr(args, name, None)
        if value:
            raise InputError(
                f"{name}={value} switches on TRL's own entropy bonus beside the method {method.name!r}; "
                f"set {name} back to its default, or choose the method 'none'"
            )
