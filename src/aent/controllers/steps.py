"""Controllers that move the coefficient by a fixed step or factor towards a target entropy."""

from dataclasses import dataclass, field
from typing import ClassVar

from aent.controllers.base import Boxed, require_box, require_finite, require_measured
from aent.errors import InputError


@dataclass(kw_only=True)
class Steps(Boxed):
    """Steps of a fixed size: ``coef <- clip(coef + delta * sign(target - H), coef_min, coef_max)``.

    Unlike `SignStep`, the coefficient is always in force.

    Source: MAI's adaptive clip, where the coefficient widens the clipping range.

    Raises:
        InputError: if a field is not finite, coef_min > coef_max, the coefficient starts outside its box, or
            delta < 0.
    """

    kept: ClassVar[tuple[str, ...]] = ("coef",)

    coef: float
    """Coefficient at the start."""
    target: float
    """Target entropy, nats per token."""
    delta: float
    """Change of the coefficient per update."""
    coef_min: float
    """Floor of the coefficient."""
    coef_max: float
    """Ceiling of the coefficient."""

    def __post_init__(self) -> None:
        require_finite(self)
        require_box(self.coef, self.coef_min, self.coef_max)
        if self.delta < 0:
            raise InputError(f"delta={self.delta} must not be negative; 0 keeps the coefficient constant")

    @property
    def band(self) -> tuple[float, float]:
        """The target, nats per token."""
        return self.target, self.target

    def update(self, entropy: float) -> float:
        """Take one step and return the new coefficient.

        Raises:
            InputError: if the entropy is NaN or infinite.
        """
        require_measured(entropy)
        side = (entropy < self.target) - (entropy > self.target)
        self.coef = min(max(self.coef + self.delta * side, self.coef_min), self.coef_max)
        return self.coef


@dataclass(kw_only=True)
class Doubling(Boxed):
    """Double below the target, halve above: ``coef <- clip(coef * 2^sign(target - H), coef_min, coef_max)``.

    Without a `target`, the first measured entropy is the target, and the first update moves nothing.

    Source: REPO's adaptive coefficient (arXiv 2603.11682).

    Raises:
        InputError: if a field is not finite, coef_min > coef_max, the coefficient starts outside its box, or
            coef_min <= 0.
    """

    kept: ClassVar[tuple[str, ...]] = ("coef", "first")

    coef: float
    """Coefficient at the start."""
    coef_min: float
    """Floor of the coefficient; above 0, or it could not rise again."""
    coef_max: float
    """Ceiling of the coefficient."""
    target: float | None = None
    """Target entropy, nats per token; None for the first measured one."""
    first: float | None = field(default=None, init=False)
    """The first measured entropy, nats per token."""

    def __post_init__(self) -> None:
        require_finite(self)
        require_box(self.coef, self.coef_min, self.coef_max)
        if self.coef_min <= 0:
            raise InputError(f"coef_min={self.coef_min} must be above 0: doubled, 0 stays 0")

    @property
    def band(self) -> tuple[float, float] | None:
        """The target, nats per token; None until it is known."""
        target = self.first if self.target is None else self.target
        return None if target is None else (target, target)

    def update(self, entropy: float) -> float:
        """Double or halve the coefficient, and return it.

        Raises:
            InputError: if the entropy is NaN or infinite.
        """
        require_measured(entropy)
        if self.first is None:
            self.first = entropy
        target = self.first if self.target is None else self.target
        side = (entropy < target) - (entropy > target)
        self.coef = min(max(self.coef * 2.0**side, self.coef_min), self.coef_max)
        return self.coef
