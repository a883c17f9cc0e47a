"""Methods of the long runs that have no name of their own."""

from dataclasses import replace

from torch import Tensor

from aent.controllers import Track
from aent.controllers.track import MOST
from aent.method import Method, Tokens
from aent.methods.aent_auto import aent_auto, unsolved_advantages, unsolved_bonus
from aent.subsets import Fraction


def weights_alone() -> Method:
    """Return aent-auto without its bonus: ``A <- (1 - r * s) * A``, with its r and s."""
    return replace(aent_auto(strength=0.0), name="weights-alone")


def two_thirds() -> Method:
    """Return aent-auto as it was: its bonus on two thirds of the vocabulary in place of the nucleus."""
    return replace(aent_auto(), name="two-thirds", subset=Fraction(drop=0.33))


def mean_reward() -> Method:
    """Return aent-auto as it was: its weights by a group's mean reward in place of the share that is right.

    For rewards from 0 to 1. With rewards of 0 or 1 it is aent-auto.
    """

    def graded(tokens: Tokens) -> Tokens:
        return replace(tokens, solved=tokens.group_reward)

    return replace(
        aent_auto(),
        name="mean-reward",
        token_advantages=lambda tokens: unsolved_advantages(graded(tokens)),
        bonus=lambda tokens: unsolved_bonus(graded(tokens)),
    )


class Late(Track):
    """Track whose bonus begins at a quarter of the entropy, not half, and cancels the pull at an eighth."""

    def _factor(self) -> float:
        if self.recent >= self.start / 4:
            return min(super()._factor(), 0.0)
        return min(self.start / (4 * self.recent) - 1, MOST) if self.pull < 0 else 0.0


def late() -> Method:
    """Return aent-auto with a bonus that begins later."""
    return replace(aent_auto(), name="late", controller=Late())


def unsolved_target() -> Method:
    """Return aent-auto that looks at the entropy of what is unsolved: the mean with weights ``1 - s``."""

    def measure(tokens: Tokens) -> tuple[Tensor, Tensor]:
        weight = tokens.mask if tokens.solved is None else tokens.mask * (1 - tokens.solved[:, None])
        return (weight * tokens.entropy.detach()).sum(), weight.sum()

    return replace(aent_auto(), name="unsolved-target", measure=measure)


class Falling(Track):
    """Track without its ceiling, for an entropy that is divided by the share of the training that is left."""

    def _factor(self) -> float:
        return min(max(self.start / (2 * self.recent) - 1, 0.0), MOST) if self.pull < 0 else 0.0


def falling() -> Method:
    """Return aent-auto with a floor that falls to 0 with the share of the training that is left."""

    def measure(tokens: Tokens) -> tuple[Tensor, Tensor]:
        counted = tokens.mask.sum()
        return (tokens.mask * tokens.entropy.detach()).sum(), counted * max(tokens.remaining, 1e-3)

    return replace(aent_auto(), name="falling", controller=Falling(), measure=measure)
