"""Skywork's rule."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aent.controllers.base import Stateful, require_box, require_finite, require_measured
from aent.errors import InputError


@dataclass(kw_only=True)
class SignStep(Stateful):
    """Skywork's rule: steps of a fixed size, applied only while the entropy is at or below its target.

    ``level <- clip(level + (delta if H <= target else -delta), coef_min, coef_max);
    coef = level if H <= target else 0``, where H is the last measured entropy

    The coefficient in force is 0 until the first measurement, as in TRL, whose last entropy starts at
    infinity.

    Source: arXiv 2505.22312 and the authors' code. At H = target their code steps down; this steps up, as
    TRL does.

    Raises:
        InputError: if a field is not finite, coef_min > coef_max, the level starts outside the box, or
            delta < 0.
    """

    kept: ClassVar[tuple[str, ...]] = ("level", "coef")

    level: float
    """Coefficient at the start; later the one that moves, whether it is in force or not."""
    target: float
    """Target entropy, nats per token."""
    delta: float
    """Change of the level per update."""
    coef_min: float
    """Floor of the level."""
    coef_max: float
    """Ceiling of the level."""
    coef: float = field(default=0.0, init=False)
    """The coefficient in force."""

    def __post_init__(self) -> None:
        require_finite(self)
        require_box(self.level, self.coef_min, self.coef_max)
        if self.delta < 0:
            raise InputError(f"delta={self.delta} must not be negative; 0 keeps the level constant")

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what changes, in the box of today's settings."""
        super().load_state_dict(state)
        in_force = self.coef == self.level
        self.level = min(max(self.level, self.coef_min), self.coef_max)
        self.coef = self.level if in_force else 0.0

    @property
    def band(self) -> tuple[float, float]:
        """The target, nats per token."""
        return self.target, self.target

    def update(self, entropy: float) -> float:
        """Take one step of the rule and return the coefficient in force.

        Raises:
            InputError: if the entropy is NaN or infinite.
        """
        require_measured(entropy)
        below = entropy <= self.target
        if below:
            self.level = min(self.level + self.delta, self.coef_max)
        else:
            self.level = max(self.level - self.delta, self.coef_min)
        self.coef = self.level if below else 0.0
        return self.coef
