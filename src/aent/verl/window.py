"""Once per training step, on the driver: from the sums over a step's tokens to the next coefficient."""

from typing import Any

from aent.errors import InputError
from aent.method import Method
from aent.steering import Steering, Sums

PREFIX = "actor/aent/"
"""Where verl puts the metrics of `aent.verl.loss` on the driver."""
EMPTY = Sums[float](*[0.0] * len(Sums._fields))
"""The sums of a training step that has not begun."""


class Window(Steering):
    """Accumulates the sums of a training step, and moves the coefficient at its end.

    verl averages the sums over ranks and mini-batches. Only quotients of two of them are used, in which the
    number of ranks and mini-batches cancels.
    """

    def __init__(self, method: Method):
        super().__init__(method)
        self._sums = EMPTY

    def take(self, metrics: dict[str, Any]) -> None:
        """Add the sums of one update of the actor, and take them out of verl's metrics.

        Raises:
            InputError: if the workers did not report them.
        """
        names = [PREFIX + field for field in Sums._fields]
        lost = [name for name in names if name not in metrics]
        if lost:
            raise InputError(
                f"the workers reported no {', '.join(lost)}: they run without aent, or another version of "
                "it; install the same aent on every node of the Ray cluster"
            )
        update = [float(metrics.pop(name)) for name in names]
        self._sums = Sums(*(a + b for a, b in zip(self._sums, update, strict=True)))

    def close(self, remaining: float) -> dict[str, float]:
        """Move the coefficient, start a new window, and return what to log.

        `remaining` is that of `Steering.update`.
        """
        sums, self._sums = self._sums, EMPTY
        logged = self.metrics() | sums.metrics()
        self.update(sums, remaining=remaining)
        return logged
