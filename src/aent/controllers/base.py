"""What a controller is, and the one that rests."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

from aent.errors import InputError


@runtime_checkable
class Controller(Protocol):
    """What a trainer needs of a controller; any object of this form will do."""

    coef: float
    """The coefficient in force: ``loss = policy_loss - coef * entropy``."""

    @property
    def band(self) -> tuple[float, float] | None:
        """The entropy aimed at (low, high) in nats per token, or None without an aim."""
        ...

    def update(self, entropy: float) -> float:
        """Take a measured entropy (nats per token) and return the next coefficient."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        ...


@dataclass(kw_only=True)
class Fixed:
    """A coefficient that stays: the entropy bonus of A3C (arXiv 1602.01783) and PPO (1707.06347).

    Raises:
        InputError: if `coef` is not finite.
    """

    coef: float

    def __post_init__(self) -> None:
        require_finite(self)

    @property
    def band(self) -> None:
        """No aim."""
        return None

    def update(self, entropy: float) -> float:
        """Return the same coefficient."""
        return self.coef

    def state_dict(self) -> dict[str, Any]:
        """Return the coefficient."""
        return {"coef": self.coef}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the coefficient."""
        self.coef = float(state["coef"])


def require_finite(controller: Any) -> None:
    """Raise unless every field is a finite number.

    Raises:
        InputError: naming the field.
    """
    for name, value in asdict(controller).items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"{name}={value!r} of {type(controller).__name__} must be a finite number")
