"""A controller with nothing to set: it undoes what the policy gradient does to entropy, and corrects."""

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
    """Let the entropy fall no lower than a curve from where it started to half of that, over the training.

    ``coef = max(0, -pull + spread * answer) / push``, with pull the running mean and push the last of
    `Effect`, and spread the root of the running mean of pull^2. The first part is the coefficient at which
    the bonus undoes what the policy gradient does to the entropy. The second corrects what that leaves out
    (what tokens share through the parameters, the optimiser's memory) and steers:
    ``answer = P e_fast + D (e_fast - e_slow) + I sum(e)``, ``e = 1 - H / target``,
    ``target = (end + (1 - end) * (1 - progress)^2) * H_start``, H_start being the mean of the first five
    entropies and (1 - progress)^2 the share that is left of a learning rate which decays to 0 in a straight
    line. An entropy above its target is not pushed down: the coefficient is 0 then.

    Everything is measured in the policy gradient's own effect, so that nothing has a unit: advantages twice
    as large, other vocabularies and other learning rates need no other setting.

    Source: ours; the feed-forward ratio from the closed-form gradient of the entropy, the rest is the
    textbook's PID rule. Its numbers were chosen on countdown and lists, seed 100.

    Raises:
        InputError: if `end` is not a positive number.
    """

    kept: ClassVar[tuple[str, ...]] = (
        "coef", "updates", "progress", "start", "pull", "power", "push", "fast", "slow", "total",
    )  # fmt: skip

    end: float = 0.5
    """Target at the end over starting entropy."""
    coef: float = field(default=0.0, init=False)
    """The coefficient in force."""
    updates: int = field(default=0, init=False)
    """Updates seen so far."""
    progress: float = field(default=0.0, init=False)
    """Share of the training that is done."""
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
            raise InputError(f"end={self.end} of Track must be above 0: it is target over starting entropy")

    @property
    def band(self) -> tuple[float, float] | None:
        """From the target to the start, nats per token; None before the first update."""
        return None if self.updates == 0 else (self.target, max(self.target, self.start))

    @property
    def target(self) -> float:
        """The lowest entropy that is allowed now, nats per token."""
        return (self.end + (1 - self.end) * (1 - self.progress) ** 2) * self.start

    def foresee(self, effect: Effect) -> None:
        """Take in what the coming update's steps did to the entropy, to first order."""
        self.pull = _moved(self.pull, effect.pull, MEMORY)
        self.power = _moved(self.power, effect.pull**2, MEMORY)
        self.push = effect.push
        self.progress = effect.progress

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
            answer = self._answer(1 - entropy / self.target)
            seen = 1 - MEMORY**self.updates
            wanted = -self.pull / seen + math.sqrt(self.power / seen) * answer
            self.coef = max(wanted, 0.0) / self.push
        return self.coef

    def _answer(self, error: float) -> float:
        self.fast = _moved(self.fast, error, FAST)
        self.slow = _moved(self.slow, error, SLOW)
        self.total = _limited(self.total + INTEGRAL * error, MOST_SUM)
        answer = PROPORTIONAL * self.fast + DERIVATIVE * (self.fast - self.slow) + self.total
        return _limited(answer, MOST)


def _moved(mean: float, value: float, memory: float) -> float:
    return memory * mean + (1 - memory) * value


def _limited(value: float, most: float) -> float:
    return min(max(value, -most), most)
