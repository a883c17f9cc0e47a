"""A method's controller in a run: from the sums over a window of tokens to the next coefficient.

A window is all tokens between two updates of the controller: one optimizer step, or several. Hosts differ in
how they collect the sums of a window; what they do with them is here.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from jaxtyping import Float
from torch import Tensor

from aent.controllers import Effect, Foresighted
from aent.errors import InputError
from aent.method import Method, Tokens
from aent.objective import entropy_sum, first_order_effect, masked_sum
from aent.pieces import finite_coefficient, require_state

Value = TypeVar("Value", Float[Tensor, ""], float)


class Sums(NamedTuple, Generic[Value]):
    """Sums over the tokens of a micro-batch, of a window, or of all ranks; add them up field by field."""

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

    def metrics(self) -> dict[str, float]:
        """Return what was measured, nats per token: ``aent/entropy`` and ``aent/full_entropy``.

        The first is left out if no token had a weight, the second without tokens.
        """
        means = {}
        if self.tokens > 0:
            means["aent/full_entropy"] = float(self.full_entropy / self.tokens)
        if self.weight != 0:
            means["aent/entropy"] = float(self.entropy / self.weight)
        return means


def window_sums(
    method: Method,
    tokens: Tokens,
    *,
    host_mean: Callable[[Float[Tensor, "batch tokens"]], Float[Tensor, ""]],
    count: float,
) -> Sums[Tensor]:
    """Return what a micro-batch adds to its window, without gradient.

    `host_mean` and `count` are those of `aent.objective.with_terms`, `tokens` what it saw.
    """
    entropy, weight = entropy_sum(method, tokens)
    pull, push = first_order_effect(method, tokens, host_mean=host_mean, count=count)
    return Sums(
        entropy=entropy,
        full_entropy=masked_sum(tokens.full_entropy.detach(), tokens.mask),
        weight=weight,
        tokens=tokens.mask.sum(),
        pull=pull,
        push=push,
    )


class Steering:
    """A copy of a method's controller, moved once per window; the method itself can be used again.

    Raises:
        InputError: if the controller's state cannot be stored in a checkpoint.
    """

    def __init__(self, method: Method):
        self.method = method.name
        self.controller = copy.deepcopy(method.controller)
        if self.controller is not None:
            require_state(f"the controller of method {method.name!r}", self.controller)
        self.last_entropy: float | None = None
        """What the controller saw last, nats per token; None before its first update."""

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

    def metrics(self) -> dict[str, float]:
        """Return the coefficient in force and its aim: ``aent/coef``, ``aent/low``, ``aent/high``."""
        if self.controller is None:
            return {}
        return {"aent/coef": self.coef, **dict(zip(("aent/low", "aent/high"), self.band or (), strict=False))}

    def update(self, sums: Sums[Any], *, remaining: float) -> None:
        """Show the controller the sums of a window, over all ranks, and let it move.

        A window without weights moves nothing: all its tokens were masked, or a critic was warming up.
        `remaining` is the share of the training that is left after the window: 0 after the last one.

        Raises:
            InputError: if the entropy is NaN or infinite.
        """
        if self.controller is None or sums.weight == 0:
            return
        self.last_entropy = float(sums.entropy / sums.weight)
        if isinstance(self.controller, Foresighted):
            effect = Effect(pull=float(sums.pull), push=float(sums.push), remaining=remaining)
            self.controller.foresee(effect)
        self.controller.update(self.last_entropy)

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
