"""A controller with nothing to set: half of the entropy may go, a twentieth may come."""

from dataclasses import dataclass, field
from typing import ClassVar

from aent.controllers.base import Effect, Stateful, require_measured

SETTLE = 5
"""Updates over which the starting entropy is measured; the coefficient is 0 meanwhile."""
MEMORY = 0.9
"""Of the running means of pull and push: as long as Adam's of the gradient."""
RECENT = 0.5
"""Of the running mean of the entropy: about two updates."""
FREE = 0.5
"""Share of the starting entropy above which there is no bonus."""
CEILING = 1.05
"""Share of the starting entropy above which the coefficient is negative."""
STIFFNESS = 40.0
"""How fast the coefficient falls above the ceiling: a fortieth further up it matches the pull."""
MOST = 4.0
"""Greatest coefficient, of either sign, over the one that matches the pull."""


@dataclass(kw_only=True)
class Track(Stateful):
    """Undo what the policy gradient does to the entropy once half of it is gone; push it down where it grows.

    ``coef = |pull| / push * (-40 (H / H_start - 1.05) if H > 1.05 H_start else max(H_start / (2 H) - 1, 0) if
    pull < 0 else 0)``, the factor within -4 and 4. H is a running mean of the entropy, H_start the mean of
    the first five; pull and push are running means of `Effect`. ``|pull| / push`` is the coefficient at which
    the bonus does to the entropy, to first order, as much as the policy gradient. So there is no bonus while
    at least half of the entropy is there, half of the pull is undone where a third is left, and all of it
    where a quarter is. From a twentieth above the start on the coefficient is negative, whatever the sign of
    the pull, as an entropy that grows against its pull shows that the first order is wrong there.

    The coefficient is measured in the policy gradient's own effect, so that nothing has a unit: advantages
    twice as large, other vocabularies and other learning rates need no other setting. What the ratio leaves
    out (what tokens share through the parameters, the optimiser's memory) shifts where the entropy comes to
    rest, not whether it does.

    Source: ours; the ratio from the closed-form gradient of the entropy.
    """

    kept: ClassVar[tuple[str, ...]] = ("coef", "updates", "start", "recent", "pull", "push")

    coef: float = field(default=0.0, init=False)
    """The coefficient in force."""
    updates: int = field(default=0, init=False)
    """Updates seen so far."""
    start: float = field(default=0.0, init=False)
    """Mean entropy of the first updates, nats per token."""
    recent: float = field(default=0.0, init=False)
    """Running mean of the entropy since then."""
    pull: float = field(default=0.0, init=False)
    """Running mean, not yet corrected for its start at 0, as that cancels in the ratio."""
    push: float = field(default=0.0, init=False)
    """The same."""

    @property
    def band(self) -> tuple[float, float] | None:
        """From a quarter of the start to the start, nats per token; None before the first update."""
        return None if self.updates == 0 else (self.start * FREE / 2, self.start)

    def foresee(self, effect: Effect) -> None:
        """Take in what the coming update's steps did to the entropy, to first order."""
        self.pull = _moved(self.pull, effect.pull, MEMORY)
        self.push = _moved(self.push, effect.push, MEMORY)

    def update(self, entropy: float) -> float:
        """Answer to an entropy and return the new coefficient.

        Raises:
            InputError: if the entropy is NaN or infinite.
        """
        require_measured(entropy)
        self.updates += 1
        if self.updates <= SETTLE:
            self.start += (entropy - self.start) / self.updates
            self.recent = self.start
            return self.coef
        self.recent = _moved(self.recent, entropy, RECENT)
        if min(self.start, self.recent, self.push) > 0:  # else nothing to hold, or nothing to hold it with
            self.coef = self._share() * abs(self.pull) / self.push
        return self.coef

    def _share(self) -> float:
        """The bonus' part in the entropy's change, over the pull's; negative where the entropy is to fall."""
        grown = self.recent / self.start
        if grown > CEILING:
            return -min(STIFFNESS * (grown - CEILING), MOST)
        return min(max(FREE / grown - 1, 0.0), MOST) if self.pull < 0 else 0.0


def _moved(mean: float, value: float, memory: float) -> float:
    return memory * mean + (1 - memory) * value
