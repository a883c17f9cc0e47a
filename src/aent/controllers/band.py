"""AEnt's rule."""

from dataclasses import dataclass, field
from typing import ClassVar

from aent.controllers.base import Boxed, require_box, require_finite, require_measured
from aent.errors import InputError


@dataclass(kw_only=True)
class Band(Boxed):
    """AEnt's rule: a proportional step outside a band of entropy, projected to a box.

    ``coef <- clip(coef - lr * (min(0, H - low) + max(0, H - high)), coef_min, coef_max)``

    Below `low` the coefficient grows, above `high` it shrinks, in between it stays. Update number `warmup`,
    counted from 1, is the first that moves it. The entropy is still measured when the coefficient is at its
    floor, so the coefficient can rise again.

    Source: arXiv 2509.03493, the adaptive coefficient. As in the author's two ports, the entropy is the
    clamped one. The warm-up is that of the verl loop, whose settings are the published ones; the port to
    AReaL moves one update later.

    Raises:
        InputError: if a field is not finite, low > high, coef_min > coef_max, the coefficient starts
            outside its box, lr < 0 or warmup < 0.
    """

    kept: ClassVar[tuple[str, ...]] = ("coef", "updates")

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
    """The first update that may move the coefficient, counted from 1; 0 and 1 are the same."""
    updates: int = field(default=0, init=False)
    """Updates seen so far."""

    def __post_init__(self) -> None:
        require_finite(self)
        if self.low > self.high:
            raise InputError(
                f"the entropy band has low={self.low} above high={self.high}; "
                "give low <= high, in nats per token"
            )
        require_box(self.coef, self.coef_min, self.coef_max)
        if self.lr < 0 or self.warmup < 0:
            raise InputError(
                f"lr={self.lr} and warmup={self.warmup} must not be negative; "
                "0 switches off the adaptation or the warm-up"
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
        require_measured(entropy)
        self.updates += 1
        if self.updates >= self.warmup:
            outside = min(0.0, entropy - self.low) + max(0.0, entropy - self.high)
            self.coef = min(max(self.coef - self.lr * outside, self.coef_min), self.coef_max)
        return self.coef
