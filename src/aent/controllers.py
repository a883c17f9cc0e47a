"""How the coefficient of the entropy bonus moves.

A controller is fed the entropy (nats per token) measured over a window of updates and answers with the
coefficient for the next one. It holds Python floats only: the trainer reduces over ranks first, so that
every rank takes the same step. A window without tokens is never shown to it.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
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
        _require_finite(self)

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


@dataclass(kw_only=True)
class Band:
    """AEnt's rule: a proportional step outside a band of entropy, projected to a box.

    ``coef <- clip(coef - lr * (min(0, H - low) + max(0, H - high)), coef_min, coef_max)``

    Below `low` the coefficient grows, above `high` it shrinks, in between it rests. The first `warmup`
    updates leave it alone. It keeps measuring at its floor, so it can rise again.

    Source: arXiv 2509.03493, the adaptive coefficient; as in the author's two ports, the entropy is
    the clamped one.

    Raises:
        InputError: if a field is not finite, low > high, coef_min > coef_max, the coefficient starts
            outside its box, lr < 0 or warmup < 0.
    """

    coef: float
    """Coefficient at the start."""
    low: float
    """Lower edge of the band, nats per token."""
    high: float
    """Upper edge of the band, nats per token."""
    lr: float
    """Change of the coefficient per update and nat outside the band."""
    coef_min: float
    """Floor of the coefficient."""
    coef_max: float
    """Ceiling of the coefficient."""
    warmup: int = 0
    """Updates at the start during which the coefficient stays."""
    updates: int = field(default=0, init=False)
    """Updates seen so far."""

    def __post_init__(self) -> None:
        _require_finite(self)
        if self.low > self.high:
            raise InputError(
                f"the entropy band has low={self.low} above high={self.high}; "
                "give low <= high, in nats per token"
            )
        if not self.coef_min <= self.coef <= self.coef_max:
            raise InputError(
                f"coef={self.coef} lies outside its box [coef_min={self.coef_min}, "
                f"coef_max={self.coef_max}]; start inside the box or widen it"
            )
        if self.lr < 0 or self.warmup < 0:
            raise InputError(
                f"lr={self.lr} and warmup={self.warmup} must not be negative; "
                "0 switches the adaptation or the warm-up off"
            )

    @property
    def band(self) -> tuple[float, float]:
        """The band (low, high), nats per token."""
        return self.low, self.high

    def update(self, entropy: float) -> float:
        """Take one step of the rule and return the new coefficient.

        Raises:
            InputError: if the entropy is NaN or infinite.
        """
        if not math.isfinite(entropy):
            raise InputError(
                f"the measured entropy is {entropy}: the policy's logits are no longer finite. "
                "Resume from the last checkpoint with a smaller learning rate"
            )
        self.updates += 1
        if self.updates > self.warmup:
            outside = min(0.0, entropy - self.low) + max(0.0, entropy - self.high)
            self.coef = min(max(self.coef - self.lr * outside, self.coef_min), self.coef_max)
        return self.coef

    def state_dict(self) -> dict[str, Any]:
        """Return the coefficient and the number of updates; the settings stay with the method."""
        return {"coef": self.coef, "updates": self.updates}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the coefficient and the number of updates."""
        self.coef, self.updates = float(state["coef"]), int(state["updates"])


def _require_finite(controller: Any) -> None:
    for name, value in asdict(controller).items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"{name}={value!r} of {type(controller).__name__} must be a finite number")
