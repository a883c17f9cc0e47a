"""Controllers that switch: the coefficient says on which side of a target the last entropy was."""

from dataclasses import dataclass, field
from typing import ClassVar

from aent.controllers.base import Stateful, require_finite, require_measured
from aent.controllers.schedule import linear
from aent.errors import InputError


@dataclass(kw_only=True)
class Gate(Stateful):
    """Open below a target: ``coef = 1 if H < target else 0``, where H is the last measured entropy.

    Closed (0) until the first measurement.

    Source: STARE (arXiv 2606.19236), which acts only while the entropy of the batch is below its target.

    Raises:
        InputError: if `target` is not finite.
    """

    target: float
    """Entropy below which the gate is open, nats per token."""
    coef: float = field(default=0.0, init=False)
    """1 while open, 0 while closed."""

    def __post_init__(self) -> None:
        require_finite(self)

    @property
    def band(self) -> tuple[float, float]:
        """The target, nats per token."""
        return self.target, self.target

    def update(self, entropy: float) -> float:
        """Open or close the gate and return the new coefficient.

        Raises:
            InputError: if the entropy is NaN or infinite.
        """
        require_measured(entropy)
        self.coef = 1.0 if entropy < self.target else 0.0
        return self.coef


@dataclass(kw_only=True)
class Sides(Stateful):
    """The side of a band that the entropy is on: ``coef = 1 if H > high else -1 if H < low else 0``.

    0 until the first measurement. With `steps`, both edges move linearly over that many updates, from `low`
    to `low_end` and from `high` to `high_end`, and then stay there.

    Source: Entrocraft (arXiv 2604.26326), whose edges move from 0.6 to 0.4 and from 0.7 to 0.5 over training.

    Raises:
        InputError: if a field is not finite, low > high at either end, steps < 0, or only some of
            `low_end`, `high_end` and `steps` are given.
    """

    kept: ClassVar[tuple[str, ...]] = ("coef", "updates")

    low: float
    """Lower edge at the start, nats per token."""
    high: float
    """Upper edge at the start, nats per token."""
    low_end: float | None = None
    """Lower edge after `steps` updates; None keeps it where it is."""
    high_end: float | None = None
    """Upper edge after `steps` updates; None keeps it where it is."""
    steps: int = 0
    """Number of updates over which the edges move."""
    coef: float = field(default=0.0, init=False)
    """-1 below the band, 1 above, 0 inside."""
    updates: int = field(default=0, init=False)
    """Updates seen so far."""

    def __post_init__(self) -> None:
        moving = {"low_end": self.low_end, "high_end": self.high_end, "steps": self.steps or None}
        if None in moving.values() and any(value is not None for value in moving.values()):
            raise InputError(
                f"low_end={self.low_end}, high_end={self.high_end} and steps={self.steps} of Sides go "
                "together: give all three for edges that move, or none for fixed edges"
            )
        require_finite(self)
        for low, high in ((self.low, self.high), (self.low_end, self.high_end)):
            if low is not None and high is not None and low > high:
                raise InputError(
                    f"the entropy band has low={low} above high={high}; give low <= high, in nats per token"
                )
        if self.steps < 0:
            raise InputError(f"steps={self.steps} of Sides must not be negative; 0 keeps the edges fixed")

    @property
    def band(self) -> tuple[float, float]:
        """The band that the next entropy is compared with, (low, high) in nats per token."""
        if self.low_end is None or self.high_end is None:
            return self.low, self.high
        return (
            linear(self.low, self.low_end, self.steps, self.updates),
            linear(self.high, self.high_end, self.steps, self.updates),
        )

    def update(self, entropy: float) -> float:
        """Compare the entropy with the band and return the new coefficient.

        Raises:
            InputError: if the entropy is NaN or infinite.
        """
        require_measured(entropy)
        low, high = self.band
        self.coef = 1.0 if entropy > high else -1.0 if entropy < low else 0.0
        self.updates += 1
        return self.coef
