"""TRL's GRPO and RLOO trainers with an entropy method: only the hooks into TRL.

What happens in a hook is in `rollouts` (once per batch of rollouts), `loss` (once per micro-batch) and
`window` (once per optimizer step).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor
from transformers import TrainerCallback
from trl import GRPOTrainer, RLOOTrainer

from aent.controllers import Controller
from aent.errors import InputError
from aent.method import Method
from aent.methods.load import load_method
from aent.policies.drawing import fast_drawing
from aent.policies.prefill import shared_prompts
from aent.subsets import Full
from aent.trl.finite import FiniteSteps
from aent.trl.head import EntropyHead
from aent.trl.host import Host, Kind, check_model, check_trl, remaining
from aent.trl.loss import MethodLoss
from aent.trl.refusals import fitted
from aent.trl.rewards import checked_rewards
from aent.trl.rollouts import RolloutScores
from aent.trl.shared import shared_scoring
from aent.trl.window import Window, over_ranks

STATE_KEY = "aent"


class AEntMixin:
    """Adds an entropy method to a trainer that uses TRL's `_compute_loss`. List it before the trainer.

    Metrics, per logging step: ``aent/entropy`` (over the method's subset, nats per token; what the
    controller sees) and ``aent/full_entropy``. A method with a controller adds ``aent/coef``, and one with a
    band ``aent/low`` and ``aent/high``.

    Args:
        method: a `Method`, a name, a mapping or a dotted path (see `aent.methods.load.load_method`).
            Defaults to ``args.aent_method``, and to ``aent`` if that is not set either.

    Raises:
        InputError: for an unknown method, one that does not fit the algorithm or its options, TRL's own
            entropy bonus together with a method that has a controller, or an unsupported version of TRL. In
            training: for a step with NaN or infinity, which is not taken (see `aent.trl.finite`).
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
        check_trl()
        check_model(model)
        self.method = _chosen(method, getattr(args, "aent_method", None))
        if args is not None:
            args = fitted(args, self.method)
        elif self.method.parts:
            raise InputError(
                f"args is missing, and method {self.method.name!r} has to be fitted to it; give a "
                "config, such as AEntGRPOConfig(output_dir='out')"
            )
        super().__init__(model, checked_rewards(reward_funcs), args, *positional, **keywords)  # type: ignore[call-arg]
        if paper := self.method.paper:  # what the model card cites
            self._paper = {"title": paper.title, "id": paper.arxiv, "citation": paper.citation}
        host = cast(Host, self)
        self._aent_host = host
        kind = Kind.of(host.args)
        self._aent_window = Window(self.method)
        self._aent_rollouts = RolloutScores(host, kind, self.method)
        self._aent_head = self._aent_attached_head(host.model)
        self._aent_finite = FiniteSteps(host)
        self._aent_loss = MethodLoss(
            host,
            kind,
            self.method,
            self._aent_rollouts,
            self._aent_window,
            self._aent_head,
            self._aent_finite,
        )
        if self.method.parts:
            host.add_callback(_StepCallback(self))
        self._aent_switch_head()

    @property
    def controller(self) -> Controller | None:
        """The trainer's own copy of the method's controller."""
        return self._aent_window.controller

    @property
    def coef(self) -> float:
        """The coefficient in force (0 for a method without one)."""
        return self._aent_window.coef

    def _aent_attached_head(self, model: Any) -> EntropyHead | None:
        if isinstance(self.method.subset, Full) and "bonus" not in self.method.parts:
            return None  # TRL's own entropy will do
        head = EntropyHead(self.method.subset)
        head.slopes = self.method.needs_slopes
        head.attach(getattr(model, "get_base_model", lambda: model)())
        return head

    def _aent_switch_head(self) -> None:
        if self._aent_head is not None:
            self._aent_head.bonus = "bonus" in self.method.parts and self.coef != 0

    # Once per batch of rollouts

    def _calculate_rewards(self, *args: Any, **keywords: Any) -> Tensor:
        rewards = super()._calculate_rewards(*args, **keywords)  # type: ignore[misc]
        self._aent_rollouts.rewards = rewards
        return rewards

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        model = self._aent_host.model
        if not (self.method.parts and model.training):
            with fast_drawing(), shared_prompts(model):
                return super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        with fast_drawing(), shared_prompts(model), self._aent_rollouts.recording() as logps:
            output = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        return self._aent_rollouts.complete(output, logps)

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        inputs = super()._prepare_inputs(generation_batch)  # type: ignore[misc]
        if self.method.parts:
            self._aent_rollouts.count_tokens()
        return inputs

    # Once per micro-batch

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        if not self.method.parts:
            return super()._compute_loss(model, inputs)  # type: ignore[misc]
        with self._aent_loss.watching(inputs) as micro:
            loss = super()._compute_loss(model, micro.inputs)  # type: ignore[misc]
        sums = self._aent_loss.sums(micro)
        if not self._aent_host.model.training:
            _append(self._aent_host._metrics["eval"], over_ranks(sums, self._aent_host.accelerator).metrics())
            return loss
        self._aent_window.add(sums)
        return self._aent_loss.with_terms(loss, micro)

    def _get_per_token_logps_and_entropies(self, *args: Any, **keywords: Any) -> tuple[Tensor, Any, Any]:
        if self._aent_rollouts.wants_entropy(args[0]):
            keywords["compute_entropy"] = True
        _, ids, _, completion, *_ = args
        with shared_scoring(self._aent_host.model, ids.size(1) - completion):
            logp, full, aux = super()._get_per_token_logps_and_entropies(*args, **keywords)  # type: ignore[misc]
        self._aent_rollouts.note(logp, full)
        return self._aent_loss.before_loss(logp, full), full, aux

    # Once per optimizer step

    def _get_grad_norm(self, *args: Any, **keywords: Any) -> Any:
        norm = super()._get_grad_norm(*args, **keywords)  # type: ignore[misc]
        self._aent_finite.check_gradient(norm)
        return norm

    def _aent_step_end(self) -> None:
        """Log the step; at the end of a window, move the coefficient."""
        host, window = self._aent_host, self._aent_window
        metrics = host._metrics["train"]
        _append(metrics, window.metrics())
        if window.ends(host):
            _append(metrics, window.close(host.accelerator, remaining(host)).metrics())
            self._aent_switch_head()
        else:
            window.share(host.accelerator)

    # Checkpoints, which hold the rollouts of each rank beside the state of its random numbers

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)  # type: ignore[misc]
        self._aent_rollouts.save(Path(output_dir))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        super()._load_rng_state(checkpoint)  # type: ignore[misc]
        if checkpoint is not None:
            self._aent_rollouts.load(Path(checkpoint))

    def _aent_restore(self, state: Mapping[str, Any]) -> None:
        self._aent_window.load_state_dict(state)
        if not self._aent_host.accelerator.is_main_process:
            self._aent_window.clear()  # the main process has the sums of all
        self._aent_switch_head()


class _StepCallback(TrainerCallback):
    """Ends each optimizer step, and keeps the controller's state in ``trainer_state.json``."""

    def __init__(self, trainer: AEntMixin):
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if STATE_KEY in state.stateful_callbacks:
            self.trainer._aent_restore(state.stateful_callbacks[STATE_KEY]["attributes"])

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer._aent_step_end()
        attributes = self.trainer._aent_window.state_dict()
        state.stateful_callbacks[STATE_KEY] = {"args": {}, "attributes": attributes}


class AEntGRPOTrainer(AEntMixin, GRPOTrainer):
    """`trl.GRPOTrainer` with an entropy method; takes the same arguments, and `method`."""

    _tag_names = ["trl", "grpo", "aent"]  # noqa: RUF012  (TRL's form)
    _name = "GRPO with AEnt"


class AEntRLOOTrainer(AEntMixin, RLOOTrainer):
    """`trl.RLOOTrainer` with an entropy method; takes the same arguments, and `method`."""

    _tag_names = ["trl", "rloo", "aent"]  # noqa: RUF012
    _name = "RLOO with AEnt"


def _append(logged: dict[str, list[float]], values: Mapping[str, float]) -> None:
    """Add values to the host's metrics, which it averages between two logs."""
    for name, value in values.items():
        logged[name].append(value)


def _chosen(method: str | Mapping[str, Any] | Method | None, configured: Any) -> Method:
    if method is not None and configured is not None:
        raise InputError(
            f"two methods were given: method={method!r} to the trainer and "
            f"aent_method={configured!r} in its args; give one"
        )
    choice = configured if method is None else method
    return load_method("aent" if choice is None else choice)
