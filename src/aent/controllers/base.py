"""The protocol of a controller, what controllers share, and the one that never moves."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, runtime_checkable

from aent.errors import InputError


@runtime_checkable
class Controller(Protocol):
    """What a trainer needs from a controller; any object with these members is one."""

    coef: float
    """The coefficient in force: ``loss = policy_loss - coef * entropy``."""

    @property
    def band(self) -> tuple[float, float] | None:
        """The target band of the entropy (low, high) in nats per token, or None if there is no target."""
        ...

    def update(self, entropy: float) -> float:
        """Take a measured entropy (nats per token) and return the next coefficient."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        ...


@dataclass(frozen=True, kw_only=True)
class Effect:
    """How one optimizer step is about to change the entropy, to first order in the logits."""

    pull: float
    """Change of the mean entropy by the policy gradient: mean of ``A (g_t - Σ_j p_j g_j)``, g = dH/dz."""
    push: float
    """Change of it by a bonus with coefficient 1: mean of ``Σ_j g_j^2``, in the same unit as `pull`."""
    remaining: float = 1.0
    """Share of the training that is left after the step, 0 after the last one."""


@runtime_checkable
class Foresighted(Controller, Protocol):
    """A controller that receives the `Effect` of each window's steps before it updates."""

    def foresee(self, effect: Effect) -> None:
        """Record what the steps of this window did to the entropy; `update` follows."""
        ...


class Stateful:
    """A controller whose changing fields go into checkpoints; its settings stay with the method."""

    kept: ClassVar[tuple[str, ...]] = ("coef",)
    """Names of the fields that change."""

    def state_dict(self) -> dict[str, Any]:
        """Return the fields that change."""
        return {name: getattr(self, name) for name in self.kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore them.

        Raises:
            InputError: if one is missing, as in a checkpoint of another version.
        """
        missing = [name for name in self.kept if name not in state]
        if missing:
            raise InputError(
                f"the checkpoint has no {', '.join(missing)} of {type(self).__name__}: another version of "
                "aent wrote it; resume with that version, or start a new run from the checkpoint's weights"
            )
        for name in self.kept:
            setattr(self, name, state[name])


class Boxed(Stateful):
    """A controller whose coefficient stays in a box, even when it is restored into a narrower one."""

    coef: float
    coef_min: float
    coef_max: float

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what changes, in the box of today's settings."""
        super().load_state_dict(state)
        self.coef = min(max(self.coef, self.coef_min), self.coef_max)


@dataclass(kw_only=True)
class Fixed(Stateful):
    """A constant coefficient: the entropy bonus of A3C (arXiv 1602.01783) and PPO (1707.06347).

    Raises:
        InputError: if `coef` is not finite.
    """

    kept: ClassVar[tuple[str, ...]] = ()

    coef: float

    def __post_init__(self) -> None:
        require_finite(self)

    @property
    def band(self) -> None:
        """No target."""
        return None

    def update(self, entropy: float) -> float:
        """Return the same coefficient."""
        return self.coef


def require_finite(controller: Any) -> None:
    """Raise unless every field is a finite number, or None if None is its default.

    Raises:
        InputError: naming the field.
    """
    for name, default in ((f.name, f.default) for f in fields(controller)):
        value = getattr(controller, name)
        if value is None and default is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"{name}={value!r} of {type(controller).__name__} must be a finite number")


def require_box(coef: float, coef_min: float, coef_max: float) -> None:
    """Raise unless the coefficient starts inside its box.

    Raises:
        InputError: naming all three.
    """
    if not coef_min <= coef <= coef_max:
        raise InputError(
            f"coef={coef} lies outside its box [coef_min={coef_min}, "
            f"coef_max={coef_max}]; start inside the box or widen it"
        )


def require_measured(entropy: float) -> None:
    """Raise if a measured entropy is NaN or infinite.

    Raises:
        InputError: because the policy has diverged.
    """
    if not math.isfinite(entropy):
        raise InputError(
            f"the measured entropy is {entropy}: the policy's logits are no longer finite. "
            "Resume from the last checkpoint with a smaller learning rate"
        )
