"""A target that is measured, not set."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aent.controllers.base import Stateful, require_finite, require_measured


@dataclass(kw_only=True)
class Anchor(Stateful):
    """Aim at the first measured entropy: ``coef = 0`` before that measurement, ``level`` after it.

    Source: SIREN's anchor (arXiv 2509.25133).

    Raises:
        InputError: if `level` is not finite.
    """

    kept: ClassVar[tuple[str, ...]] = ("anchor",)

    level: float
    """Coefficient once the anchor is known."""
    coef: float = field(default=0.0, init=False)
    """The coefficient in force."""
    anchor: float | None = field(default=None, init=False)
    """The first measured entropy, nats per token."""

    def __post_init__(self) -> None:
        require_finite(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the anchor; once it is known, the coefficient is today's `level`."""
        super().load_state_dict(state)
        self.coef = 0.0 if self.anchor is None else self.level

    @property
    def band(self) -> tuple[float, float] | None:
        """The anchor, nats per token; None before the first window."""
        return None if self.anchor is None else (self.anchor, self.anchor)

    def update(self, entropy: float) -> float:
        """Take the first entropy as the anchor and return the coefficient in force.

        Raises:
            InputError: if the entropy is NaN or infinite.
        """
        require_measured(entropy)
        if self.anchor is None:
            self.anchor, self.coef = entropy, self.level
        return self.coef
