"""EntroPIC's rule."""

from dataclasses import dataclass, field
from typing import ClassVar

from aent.controllers.base import Boxed, require_box, require_finite, require_measured


@dataclass(kw_only=True)
class PI(Boxed):
    """Proportional-integral control: the coefficient follows the error and the sum of all errors so far.

    ``total <- total + (H - target); coef = clip(kp * (H - target) + ki * total, coef_min, coef_max)``

    0 until the first measurement. The sum is unbounded: it keeps growing while the coefficient is at an edge
    of its box. Mind the sign: the coefficient is positive above the target, because the term it multiplies
    lowers the entropy.

    Source: arXiv 2511.15248 and the authors' code. Their code measures H on the same tokens that the
    coefficient then acts on, and leaves that error out of the sum; here H is the last window's.

    Raises:
        InputError: if a field is not finite, or 0 lies outside [coef_min, coef_max].
    """

    kept: ClassVar[tuple[str, ...]] = ("coef", "total")

    target: float
    """Target entropy, nats per token."""
    kp: float
    """Coefficient per nat above the target."""
    ki: float
    """Coefficient per nat and update above the target."""
    coef_min: float = -1.0
    """Floor of the coefficient."""
    coef_max: float = 1.0
    """Ceiling of the coefficient."""
    coef: float = field(default=0.0, init=False)
    """The coefficient in force."""
    total: float = field(default=0.0, init=False)
    """Sum of all errors so far, nats."""

    def __post_init__(self) -> None:
        require_finite(self)
        require_box(self.coef, self.coef_min, self.coef_max)

    @property
    def band(self) -> tuple[float, float]:
        """The target, nats per token."""
        return self.target, self.target

    def update(self, entropy: float) -> float:
        """Take one step of the rule and return the new coefficient.

        Raises:
            InputError: if the entropy is NaN or infinite.
        """
        require_measured(entropy)
        error = entropy - self.target
        self.total += error
        wanted = self.kp * error + self.ki * self.total
        self.coef = min(max(wanted, self.coef_min), self.coef_max)
        return self.coef
