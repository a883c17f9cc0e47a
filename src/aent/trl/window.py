"""Once per optimizer step: from the sums over a window of tokens to the next coefficient.

A window is all tokens between two updates of the controller: one optimizer step, or all steps on a batch of
rollouts.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor

from aent.controllers import Effect, Foresighted
from aent.errors import InputError
from aent.method import Method
from aent.pieces import finite_coefficient, require_state
from aent.trl.host import Host, passes_per_rollouts, reduced

Value = TypeVar("Value", Float[Tensor, ""], float)


class Sums(NamedTuple, Generic[Value]):
    """Sums over the tokens of a micro-batch, of a window, or of all ranks."""

    entropy: Value
    """Clamped entropy (nats) times the weight of each token."""
    full_entropy: Value
    """Entropy over the whole vocabulary (nats), unweighted."""
    weight: Value
    """Weights of the clamped entropy."""
    tokens: Value
    """Number of tokens that count."""
    pull: Value
    push: Value
    """First-order effects, see `aent.objective.first_order_effect`."""


@dataclass(frozen=True)
class Reading:
    """What a window measured, over all ranks."""

    entropy: float | None
    """Mean clamped entropy, which the controller sees; None if no token had a weight."""
    full_entropy: float | None
    """Mean entropy over the whole vocabulary; None without tokens."""
    effect: Effect

    @classmethod
    def of(cls, sums: Sums[Tensor], accelerator: Accelerator) -> "Reading":
        """Add up the sums of all ranks; a collective, so every rank has to call it."""
        total = Sums[float](*reduced(accelerator, _stacked(sums)).tolist())
        return cls(
            entropy=None if total.weight == 0 else total.entropy / total.weight,
            full_entropy=total.full_entropy / total.tokens if total.tokens > 0 else None,
            effect=Effect(pull=total.pull, push=total.push),
        )

    def log(self, metrics: dict[str, list[float]]) -> None:
        """Append to the host's metrics what was measured."""
        if self.full_entropy is not None:
            metrics["aent/full_entropy"].append(self.full_entropy)
        if self.entropy is not None:
            metrics["aent/entropy"].append(self.entropy)


class Window:
    """Accumulates `Sums` and moves a copy of the method's controller once per window."""

    def __init__(self, method: Method):
        self.method = method.name
        self.controller = copy.deepcopy(method.controller)
        if self.controller is not None:
            require_state(f"the controller of method {method.name!r}", self.controller)
        self.last_entropy: float | None = None
        """What the controller saw last; None before the first window."""
        self._sums = torch.zeros(len(Sums._fields))

    @property
    def coef(self) -> float:
        """The coefficient in force; 0 without a controller.

        Raises:
            InputError: if it is not a finite number.
        """
        if self.controller is None:
            return 0.0
        return finite_coefficient(f"method {self.method!r}", self.controller.coef)

    @property
    def band(self) -> tuple[float, float] | None:
        """The entropies (low, high) the controller aims at; None without a controller or an aim."""
        return None if self.controller is None else self.controller.band

    @property
    def sums(self) -> Sums[Tensor]:
        """What this rank has accumulated so far."""
        return Sums(*self._sums)

    def add(self, sums: Sums[Tensor]) -> None:
        """Add the sums of a micro-batch, on their device and without waiting for it."""
        added = _stacked(sums)
        self._sums = self._sums.to(added.device) + added

    def log_coefficient(self, metrics: dict[str, list[float]]) -> None:
        """Append the coefficient in force and the band to the host's metrics."""
        if self.controller is None:
            return
        metrics["aent/coef"].append(self.coef)
        for name, edge in zip(("aent/low", "aent/high"), self.band or (), strict=False):
            metrics[name].append(edge)

    def ends(self, host: Host) -> bool:
        """Whether the window ends with this optimizer step: always, or with the batch of rollouts."""
        if getattr(host.args, "aent_update", "step") == "step":
            return True
        passes, before = passes_per_rollouts(host), host._step - host.current_gradient_accumulation_steps
        return host._step // passes > before // passes

    def close(self, accelerator: Accelerator, remaining: float) -> Reading:
        """Read the window on all ranks, move the coefficient, and start a new window.

        A window without tokens does not move the coefficient. `remaining` is that of `Effect`.
        """
        reading = Reading.of(self.sums, accelerator)
        self._sums = torch.zeros_like(self._sums)
        if reading.entropy is not None and self.controller is not None:
            self.last_entropy = reading.entropy
            if isinstance(self.controller, Foresighted):
                self.controller.foresee(replace(reading.effect, remaining=remaining))
            self.controller.update(reading.entropy)
        return reading

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint stores, as JSON values."""
        return {
            "method": self.method,
            "controller": {} if self.controller is None else self.controller.state_dict(),
            "window": self._sums.tolist(),
            "measured": self.last_entropy,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            InputError: if the checkpoint belongs to another method.
        """
        if state["method"] != self.method:
            raise InputError(
                f"the checkpoint was written by method {state['method']!r}, not {self.method!r}; "
                "resume with that method, or start a new run from the checkpoint's weights"
            )
        if self.controller is not None:
            self.controller.load_state_dict(state["controller"])
        self._sums = torch.tensor(state["window"])
        self.last_entropy = state["measured"]


def _stacked(sums: Sums[Tensor]) -> Float[Tensor, " sums"]:
    """One tensor in the order of the fields, so that adding and reducing take one operation each."""
    return torch.stack([s.detach().float() for s in sums])
