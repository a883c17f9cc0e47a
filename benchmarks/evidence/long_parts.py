"""Methods of the long runs that have no name of their own."""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from aent.controllers import Effect, Track
from aent.controllers.track import MOST
from aent.method import Method, Tokens
from aent.methods.aent_auto import aent_auto
from aent.subsets import Fraction, TopP


class Held(Track):
    """Track as it was: what it holds does not fall with the training that is left."""

    def foresee(self, effect: Effect) -> None:
        """Take the effect for one at the start of training."""
        super().foresee(replace(effect, remaining=1.0))


class Late(Held):
    """Held, with a bonus that begins at a quarter of the entropy and cancels the pull at an eighth."""

    def _factor(self) -> float:
        if self.recent >= self.start / 4:
            return min(super()._factor(), 0.0)
        return min(self.start / (4 * self.recent) - 1, MOST) if self.pull < 0 else 0.0


def from_start(strength: float = 1.0) -> Method:
    """Return aent-auto as it was: its weights ``1 - r * s`` act from the first step."""
    return _seeing(
        replace(aent_auto(strength=strength), name="from-start"),
        lambda tokens: replace(tokens, last_entropy=0.0, band=(0.0, 1.0)),
    )


def weights_alone() -> Method:
    """Return from-start without its bonus: ``A <- (1 - r * s) * A``."""
    return replace(from_start(strength=0.0), name="weights-alone")


def held() -> Method:
    """Return from-start as it was before: it held a quarter of the entropy to the end."""
    return replace(from_start(), name="held", controller=Held())


def bonus_held() -> Method:
    """Return the bonus of held without its weights."""
    return Method(name="bonus-held", subset=TopP(mass=0.9), controller=Held())


def late() -> Method:
    """Return held with a bonus that begins later."""
    return replace(held(), name="late", controller=Late())


def two_thirds() -> Method:
    """Return held as it was before: its bonus on two thirds of the vocabulary in place of the nucleus."""
    return replace(held(), name="two-thirds", subset=Fraction(drop=0.33))


def mean_reward() -> Method:
    """Return held as it was before: its weights by a group's mean reward in place of the share that is right.

    For rewards from 0 to 1. With rewards of 0 or 1 it is `held`.
    """
    return _seeing(
        replace(held(), name="mean-reward"), lambda tokens: replace(tokens, solved=tokens.group_reward)
    )


def unsolved_target() -> Method:
    """Return held that looks at the entropy of what is unsolved: a mean with weights ``1 - s``."""

    def measure(tokens: Tokens) -> tuple[Tensor, Tensor]:
        weight = tokens.mask if tokens.solved is None else tokens.mask * (1 - tokens.solved[:, None])
        return (weight * tokens.entropy.detach()).sum(), weight.sum()

    return replace(held(), name="unsolved-target", measure=measure)


class Falling(Held):
    """Held without its ceiling, for an entropy that is divided by the share of the training that is left."""

    def _factor(self) -> float:
        return min(max(self.start / (2 * self.recent) - 1, 0.0), MOST) if self.pull < 0 else 0.0


def falling() -> Method:
    """Return the trial of from-start: it holds H / r at what from-start holds H at times r."""

    def measure(tokens: Tokens) -> tuple[Tensor, Tensor]:
        return (tokens.mask * tokens.entropy.detach()).sum(), tokens.mask.sum() * max(tokens.remaining, 1e-3)

    return replace(from_start(), name="falling", controller=Falling(), measure=measure)


class Decaying(Track):
    """Track under a linear decay of the learning rate: `Effect.remaining` counts the learning rate left."""

    def foresee(self, effect: Effect) -> None:
        """Square the share of the steps that is left."""
        super().foresee(replace(effect, remaining=effect.remaining**2))


def by_learning_rate() -> Method:
    """Return from-start with an r that counts the learning rate left, for a linear decay to 0: ``r ** 2``."""
    return _seeing(
        replace(from_start(), name="by-learning-rate", controller=Decaying()),
        lambda tokens: replace(tokens, remaining=tokens.remaining**2),
    )


def _seeing(method: Method, changed: Callable[[Tokens], Tokens]) -> Method:
    """Return the method with advantages and a bonus that see changed tokens."""
    advantages, bonus = method.token_advantages, method.bonus
    assert advantages is not None
    assert bonus is not None
    return replace(
        method,
        token_advantages=lambda tokens: advantages(changed(tokens)),
        bonus=lambda tokens: bonus(changed(tokens)),
    )
