"""Dual ascent: the coefficient as the multiplier of the constraint H >= target."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

from aent.controllers.base import Stateful, require_finite, require_measured
from aent.errors import InputError


def ascended(coef: float, lr: float, target: float, entropy: float) -> float:
    """Return ``max(0, coef + lr * (target - H))``: one projected step up the dual."""
    return max(0.0, coef + lr * (target - entropy))


def require_start(coef: float, lr: float) -> None:
    """Raise unless coefficient and step size are at least 0.

    Raises:
        InputError: naming both.
    """
    if coef < 0 or lr < 0:
        raise InputError(
            f"coef={coef} and lr={lr} must not be negative; 0 for both switches the entropy term off"
        )


@dataclass(kw_only=True)
class _Ascent(Stateful):
    """A multiplier that grows while the entropy is below a fixed target."""

    coef: float
    """Coefficient at the start."""
    target: float
    """Target entropy, nats per token."""
    lr: float
    """Change of the coefficient (`Dual`: of its logarithm) per update and nat away from the target."""

    def __post_init__(self) -> None:
        require_finite(self)
        require_start(self.coef, self.lr)

    @property
    def band(self) -> tuple[float, float]:
        """The target, nats per token."""
        return self.target, self.target


@dataclass(kw_only=True)
class Dual(_Ascent):
    """SAC's rule: a dual step on the log coefficient, without dead zone or box.

    ``coef <- coef * exp(lr * (target - H))``, that is ``log coef <- log coef + lr * (target - H)``

    Two losses are in use. This is the gradient step on ``log(coef) * (H - target)``, as in most SAC code. The
    paper writes ``J(coef) = coef * (H - target)``. Its gradient with respect to log coef is smaller by the
    factor coef, which all but stops the coefficient at the values that language models need. SAC code takes
    the step with Adam; this is the plain step. A coefficient of 0 stays 0.

    Source: arXiv 1812.05905, section 5, with the measured entropy H in place of -log pi.

    Raises:
        InputError: if a field is not finite, or coef or lr is negative.
    """

    def update(self, entropy: float) -> float:
        """Take one step of the rule and return the new coefficient.

        Raises:
            InputError: if the entropy is NaN or infinite, or the coefficient overflows.
        """
        require_measured(entropy)
        step = self.lr * (self.target - entropy)
        coef = self.coef * (math.exp(step) if step < 700 else math.inf)  # exp overflows above 709
        if not math.isfinite(coef):
            raise InputError(
                f"the coefficient has overflowed: the entropy ({entropy}) never came near the "
                f"target={self.target}; lower the target, or lr={self.lr}"
            )
        self.coef = coef
        return self.coef


@dataclass(kw_only=True)
class Lagrangian(_Ascent):
    """A Lagrange multiplier: ``coef <- max(0, coef + lr * (target - H))``, projected dual ascent.

    Source: standard (gradient ascent on the dual of: maximize the reward subject to H >= target). It is also
    SAC's own step on its temperature, arXiv 1812.05905, eq. 18, with H in place of -log pi.

    Raises:
        InputError: if a field is not finite, or coef or lr is negative.
    """

    def update(self, entropy: float) -> float:
        """Take one step of the rule and return the new coefficient.

        Raises:
            InputError: if the entropy is NaN or infinite.
        """
        require_measured(entropy)
        self.coef = ascended(self.coef, self.lr, self.target, entropy)
        return self.coef


@dataclass(kw_only=True)
class Share(Stateful):
    """A Lagrange multiplier whose target is a share of the first measured entropy.

    ``coef <- max(0, coef + lr * (share * H_first - H))``

    Source: the target is AER's (arXiv 2510.10959); the projected dual step is our choice.

    Raises:
        InputError: if a field is not finite, or coef, lr or share is negative.
    """

    kept: ClassVar[tuple[str, ...]] = ("coef", "first")

    coef: float
    """Coefficient at the start."""
    share: float
    """The target as a fraction of the first entropy."""
    lr: float
    """Change of the coefficient per update and nat away from the target."""
    first: float | None = field(default=None, init=False)
    """The first measured entropy, nats per token."""

    def __post_init__(self) -> None:
        require_finite(self)
        require_start(self.coef, self.lr)
        if self.share < 0:
            raise InputError(
                f"share={self.share} must not be negative: it is the target over the first entropy"
            )

    @property
    def band(self) -> tuple[float, float] | None:
        """The target, nats per token; None before the first window."""
        return None if self.first is None else (self.share * self.first, self.share * self.first)

    def update(self, entropy: float) -> float:
        """Take one step of the rule and return the new coefficient.

        Raises:
            InputError: if the entropy is NaN or infinite.
        """
        require_measured(entropy)
        if self.first is None:
            self.first = entropy
        self.coef = ascended(self.coef, self.lr, self.share * self.first, entropy)
        return self.coef
