"""Schedules: coefficients that depend on the number of updates alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aent.controllers.base import Stateful, require_finite
from aent.errors import InputError


def linear(start: float, end: float, steps: float, done: int) -> float:
    """Return ``start + (end - start) * min(1, done / steps)``."""
    return start + (end - start) * min(1.0, done / steps)


def cosine(start: float, end: float, steps: float, done: int) -> float:
    """Return ``end + (start - end) * (1 + cos(pi * min(1, done / steps))) / 2``."""
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, done / steps))) / 2


@dataclass(kw_only=True)
class Linear(Stateful):
    """A linear schedule: ``coef = start + (end - start) * min(1, updates / steps)``.

    A window without tokens does not count as an update.

    Raises:
        InputError: if a field is not finite or steps < 1.
    """

    kept: ClassVar[tuple[str, ...]] = ("updates",)

    start: float
    """Coefficient before the first update."""
    end: float
    """Coefficient after `steps` updates and later."""
    steps: int
    """Updates from start to end."""
    coef: float = field(default=0.0, init=False)
    """The coefficient in force."""
    updates: int = field(default=0, init=False)
    """Updates seen so far."""

    def __post_init__(self) -> None:
        require_finite(self)
        if self.steps < 1:
            raise InputError(
                f"steps={self.steps} of {type(self).__name__} must be at least 1: "
                "it is the number of updates from start to end"
            )
        self.coef = self._now()

    @property
    def band(self) -> None:
        """No target."""
        return None

    def update(self, entropy: float) -> float:
        """Advance by one update, whatever the entropy, and return the new coefficient."""
        self.updates += 1
        self.coef = self._now()
        return self.coef

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the number of updates; the coefficient follows from it and from today's settings."""
        super().load_state_dict(state)
        self.coef = self._now()

    def _now(self) -> float:
        return linear(self.start, self.end, self.steps, self.updates)


@dataclass(kw_only=True)
class Cosine(Linear):
    """Half a cosine: ``coef = end + (start - end) * (1 + cos(pi * min(1, updates / steps))) / 2``.

    A window without tokens does not count as an update.

    Raises:
        InputError: if a field is not finite or steps < 1.
    """

    def _now(self) -> float:
        return cosine(self.start, self.end, self.steps, self.updates)
