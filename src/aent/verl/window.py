"""Once per training step, on the driver: from the sums over a step's tokens to the next coefficient."""

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

from aent.controllers import Effect, Foresighted
from aent.errors import InputError
from aent.method import Method
from aent.pieces import finite_coefficient, require_state

PREFIX = "actor/aent/"
"""Where verl puts the metrics of `aent.verl.loss` on the driver."""


class Sums(NamedTuple):
    """Sums over the tokens of a micro-batch. verl averages them over ranks and mini-batches.

    Only quotients of two of them are used, in which the number of ranks and mini-batches cancels.
    """

    entropy: float = 0.0
    """Clamped entropy (nats) times the weight of each token."""
    full_entropy: float = 0.0
    """Entropy over the whole vocabulary (nats), unweighted."""
    weight: float = 0.0
    """Weights of the clamped entropy."""
    tokens: float = 0.0
    """Number of tokens that count."""
    pull: float = 0.0
    push: float = 0.0
    """First-order effects, see `aent.objective.first_order_effect`."""


class Window:
    """Accumulates the sums of a training step and moves a copy of the method's controller at its end."""

    def __init__(self, method: Method):
        self.method = method.name
        self.controller = copy.deepcopy(method.controller)
        if self.controller is not None:
            require_state(f"the controller of method {method.name!r}", self.controller)
        self.last_entropy: float | None = None
        """What the controller saw last; None before its first update."""
        self._sums = Sums()

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

    def take(self, metrics: dict[str, Any]) -> None:
        """Add the sums of one update of the actor, and take them out of verl's metrics.

        Raises:
            InputError: if the workers did not report them.
        """
        names = [PREFIX + field for field in Sums._fields]
        lost = [name for name in names if name not in metrics]
        if lost:
            raise InputError(
                f"the workers reported no {', '.join(lost)}: they run without aent, or another version of "
                "it; install the same aent on every node of the Ray cluster"
            )
        update = [float(metrics.pop(name)) for name in names]
        self._sums = Sums(*(a + b for a, b in zip(self._sums, update, strict=True)))

    def close(self, remaining: float) -> dict[str, float]:
        """Move the coefficient, start a new window, and return what to log.

        A window without tokens, as during the warm-up of a critic, does not move the coefficient. `remaining`
        is that of `Effect`.
        """
        sums, self._sums = self._sums, Sums()
        logged = {} if self.controller is None else {"aent/coef": self.coef}
        logged |= dict(zip(("aent/low", "aent/high"), self.band or (), strict=False))
        if sums.tokens > 0:
            logged["aent/full_entropy"] = sums.full_entropy / sums.tokens
        if sums.weight != 0:
            entropy = logged["aent/entropy"] = sums.entropy / sums.weight
            self._update(entropy, Effect(pull=sums.pull, push=sums.push, remaining=remaining))
        return logged

    def _update(self, entropy: float, effect: Effect) -> None:
        if self.controller is None:
            return
        self.last_entropy = entropy
        if isinstance(self.controller, Foresighted):
            self.controller.foresee(effect)
        self.controller.update(entropy)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint stores, as JSON values."""
        return {
            "method": self.method,
            "controller": {} if self.controller is None else self.controller.state_dict(),
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
        self.last_entropy = state["measured"]
