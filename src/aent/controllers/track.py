"""A controller that needs no settings: it holds less of the entropy as training goes on."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

from aent.controllers.base import Effect, Stateful, require_measured
from aent.errors import InputError

SETTLE = 5
"""Updates over which the starting entropy is measured; the coefficient is 0 during them."""
MEMORY = 0.9
"""Decay of the running means of pull and push: the same as Adam's for the gradient."""
RECENT = 0.5
"""Decay of the running mean of the entropy, which spans about two updates."""
FREE = 0.5
"""Fraction of the starting entropy above which there is no bonus, at the start of training."""
CEILING = 1.05
"""Fraction of the starting entropy above which the coefficient is negative."""
STIFFNESS = 40.0
"""Slope of the coefficient above the ceiling: a fortieth above it, the coefficient matches the pull."""
MOST = 4.0
"""Largest coefficient of either sign, in units of the one that matches the pull."""


@dataclass(kw_only=True)
class Track(Stateful):
    """Cancel the policy gradient's effect on the entropy once half of it is gone; push down if it grows.

    ``coef = |pull| / push * (-40 (H / H_start - 1.05) if H > 1.05 H_start else strength * max(r H_start /
    (2 H) - 1, 0) if pull < 0 else 0)``, with the factor clipped to [-4, 4]. H is a running mean of the
    entropy, H_start the mean of the first five entropies, r the share of the training that is left
    (`Effect.remaining`); pull and push are running means of `Effect`.

    ``|pull| / push`` is the coefficient at which the bonus changes the entropy, to first order, by as much as
    the policy gradient does. So there is no bonus while at least half of the entropy remains. Early in
    training the bonus cancels half of the pull when a third of the entropy remains, and all of it when a
    quarter remains. These fractions fall with r, so that the policy can settle at the end. Once the entropy
    exceeds 1.05x its start, the coefficient turns negative regardless of the sign of the pull: an entropy
    that grows against its pull shows that the first-order estimate is wrong there.

    The coefficient is expressed in units of the policy gradient's own effect, so nothing needs tuning: twice
    as large advantages, other vocabularies or other learning rates need no other setting. The ratio ignores
    the parameters that tokens share and the optimizer's momentum. This shifts the level at which the entropy
    settles, not whether it settles.

    Source: ours; the ratio comes from the closed-form gradient of the entropy.

    Raises:
        InputError: for a strength that is negative or not finite.
    """

    kept: ClassVar[tuple[str, ...]] = ("coef", "updates", "start", "recent", "pull", "push", "remaining")

    strength: float = 1.0
    """How strongly a fallen entropy is held; at 0 never, and only a rise is pushed down."""
    coef: float = field(default=0.0, init=False)
    """The coefficient in force."""
    updates: int = field(default=0, init=False)
    """Updates seen so far."""
    start: float = field(default=0.0, init=False)
    """Mean entropy of the first updates, nats per token."""
    recent: float = field(default=0.0, init=False)
    """Running mean of the entropy since then."""
    remaining: float = field(default=1.0, init=False)
    """`Effect.remaining` of the last update."""
    pull: float = field(default=0.0, init=False)
    """Running mean of `Effect.pull`, not corrected for its start at 0, which cancels in the ratio."""
    push: float = field(default=0.0, init=False)
    """Running mean of `Effect.push`, likewise."""
    foreseen: bool = field(default=False, init=False)
    """Whether `foresee` was called since the last update."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.strength) and self.strength >= 0):
            raise InputError(f"strength={self.strength} must be a finite number, 0 or more; 1 is the default")

    @property
    def band(self) -> tuple[float, float] | None:
        """``r / 4`` of the starting entropy and all of it, nats per token; None before the first update."""
        return None if self.updates == 0 else (self.remaining * self.start * FREE / 2, self.start)

    def foresee(self, effect: Effect) -> None:
        """Record what the steps of this window did to the entropy, to first order; `update` follows."""
        self.pull = _mixed(self.pull, effect.pull, MEMORY)
        self.push = _mixed(self.push, effect.push, MEMORY)
        self.remaining = effect.remaining
        self.foreseen = True

    def update(self, entropy: float) -> float:
        """Take a measured entropy and return the new coefficient.

        Raises:
            InputError: if the entropy is NaN or infinite, or `foresee` was not called since the last update.
        """
        require_measured(entropy)
        if not self.foreseen:
            raise InputError(
                "Track.update was called without foresee(effect) before it, so its coefficient would stay at "
                "0; update it through aent.Steering"
            )
        self.foreseen = False
        self.updates += 1
        if self.updates <= SETTLE:
            self.start += (entropy - self.start) / self.updates
            self.recent = self.start
            return self.coef
        self.recent = _mixed(self.recent, entropy, RECENT)
        if min(self.start, self.recent, self.push) > 0:  # else there is no entropy to hold, or no effect
            self.coef = self._factor() * abs(self.pull) / self.push
        return self.coef

    def _factor(self) -> float:
        """Return the bonus's effect as a multiple of the pull; negative to lower the entropy."""
        growth = self.recent / self.start
        if growth > CEILING:
            return -min(STIFFNESS * (growth - CEILING), MOST)
        if self.pull >= 0:
            return 0.0
        return min(self.strength * max(self.remaining * FREE / growth - 1, 0.0), MOST)


def _mixed(mean: float, value: float, decay: float) -> float:
    return decay * mean + (1 - decay) * value
