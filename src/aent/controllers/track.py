"""A controller with nothing to set: it undoes a share of what the policy gradient does to entropy."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

from aent.controllers.base import Effect, Stateful, require_finite, require_measured
from aent.errors import InputError

SETTLE = 5
"""Updates over which the starting entropy is measured; the coefficient is 0 meanwhile."""
MEMORY = 0.9
"""Of the running means of pull and push: as long as Adam's of the gradient."""
PROPORTIONAL, DERIVATIVE, INTEGRAL = 3.0, 10.0, 0.1
"""Answer to the error, to its movement, and to its sum over updates, in units of the usual pull."""
FAST, SLOW = 0.5, 0.93
"""Of the running means of the error whose difference is its movement."""
MOST_SUM, MOST = 2.0, 4.0
"""Limits of the integral part and of the whole answer: what is beyond them has other causes."""


@dataclass(kw_only=True)
class Track(Stateful):
    """Undo a quarter of what the policy gradient does to the entropy, and all of it at half the start.

    ``coef = max(-share * pull, -pull + spread * answer, 0) / push``, with pull the running mean and push the
    last of `Effect`, and spread the root of the running mean of pull^2. ``-pull / push`` is the coefficient
    at which the bonus undoes what the policy gradient does to the entropy: a share of it slows the fall down.
    The second part takes over near the floor, `end` times the mean of the first five entropies. It corrects
    what the ratio leaves out (what tokens share through the parameters, the optimiser's memory):
    ``answer = P e_fast + D (e_fast - e_slow) + I sum(e)``, ``e = 1 - H / floor``. The entropy is never pushed
    down.

    Everything is measured in the policy gradient's own effect, so that nothing has a unit: advantages twice
    as large, other vocabularies and other learning rates need no other setting.

    Source: ours; the feed-forward ratio from the closed-form gradient of the entropy, the rest is the
    textbook's PID rule. Its numbers were chosen on countdown and lists, seed 100.

    Raises:
        InputError: if `end` is not a positive number, or `share` a negative one.
    """

    kept: ClassVar[tuple[str, ...]] = (
        "coef", "updates", "start", "pull", "power", "push", "fast", "slow", "total",
    )  # fmt: skip

    share: float = 0.25
    """Of the pull that is undone wherever the entropy is."""
    end: float = 0.5
    """Floor over starting entropy; 1 holds the entropy where it starts."""
    coef: float = field(default=0.0, init=False)
    """The coefficient in force."""
    updates: int = field(default=0, init=False)
    """Updates seen so far."""
    start: float = field(default=0.0, init=False)
    """Mean entropy of the first updates, nats per token."""
    pull: float = field(default=0.0, init=False)
    """Running mean, not yet corrected for its start at 0."""
    power: float = field(default=0.0, init=False)
    """That of pull^2."""
    push: float = field(default=0.0, init=False)
    """The last push: it grows with the entropy, so that an older one would overshoot."""
    fast: float = field(default=0.0, init=False)
    """Of the error, short."""
    slow: float = field(default=0.0, init=False)
    """Of the error, long."""
    total: float = field(default=0.0, init=False)
    """The integral part."""

    def __post_init__(self) -> None:
        require_finite(self)
        if self.end <= 0:
            raise InputError(f"end={self.end} of Track must be above 0: it is floor over starting entropy")
        if self.share < 0:
            raise InputError(f"share={self.share} of Track must be at least 0, which leaves the floor alone")

    @property
    def band(self) -> tuple[float, float] | None:
        """From the floor to the start, nats per token; None before the first update."""
        return None if self.updates == 0 else (self.floor, max(self.floor, self.start))

    @property
    def floor(self) -> float:
        """The lowest entropy that is allowed, nats per token."""
        return self.end * self.start

    def foresee(self, effect: Effect) -> None:
        """Take in what the coming update's steps did to the entropy, to first order."""
        self.pull = _moved(self.pull, effect.pull, MEMORY)
        self.power = _moved(self.power, effect.pull**2, MEMORY)
        self.push = effect.push

    def update(self, entropy: float) -> float:
        """Answer to an entropy and return the new coefficient.

        Raises:
            InputError: if the entropy is NaN or infinite.
        """
        require_measured(entropy)
        self.updates += 1
        if self.updates <= SETTLE:
            self.start += (entropy - self.start) / self.updates
            return self.coef
        if self.start > 0 and self.push > 0:  # else there is nothing to hold, or nothing to hold it with
            answer = self._answer(1 - entropy / self.floor)
            seen = 1 - MEMORY**self.updates
            pull = self.pull / seen
            at_floor = -pull + math.sqrt(self.power / seen) * answer
            self.coef = max(-self.share * pull, at_floor, 0.0) / self.push
        return self.coef

    def _answer(self, error: float) -> float:
        self.fast = _moved(self.fast, error, FAST)
        self.slow = _moved(self.slow, error, SLOW)
        self.total = min(max(self.total + INTEGRAL * error, 0.0), MOST_SUM)  # time spent high is no credit
        answer = PROPORTIONAL * self.fast + DERIVATIVE * (self.fast - self.slow) + self.total
        return _limited(answer, MOST)


def _moved(mean: float, value: float, memory: float) -> float:
    return memory * mean + (1 - memory) * value


def _limited(value: float, most: float) -> float:
    return min(max(value, -most), most)
