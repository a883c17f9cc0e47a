"""How the coefficient of the entropy bonus moves.

A controller receives the entropy (nats per token) measured over a window of updates and returns the
coefficient for the next window. It holds Python floats only: the trainer reduces over ranks first, so that
every rank takes the same step. A window without tokens never reaches it.
"""

from collections.abc import Callable

from aent.controllers.anchor import Anchor
from aent.controllers.band import Band
from aent.controllers.base import Controller, Effect, Fixed, Foresighted
from aent.controllers.dual import Dual, Lagrangian, Share
from aent.controllers.gates import Gate, Sides
from aent.controllers.pi import PI
from aent.controllers.schedule import Cosine, Linear
from aent.controllers.sign import SignStep
from aent.controllers.steps import Doubling, Steps
from aent.controllers.track import Track

__all__ = [
    "CONTROLLERS",
    "PI",
    "Anchor",
    "Band",
    "Controller",
    "Cosine",
    "Doubling",
    "Dual",
    "Effect",
    "Fixed",
    "Foresighted",
    "Gate",
    "Lagrangian",
    "Linear",
    "Share",
    "Sides",
    "SignStep",
    "Steps",
    "Track",
]

CONTROLLERS: dict[str, Callable[..., Controller]] = {
    "anchor": Anchor,
    "band": Band,
    "cosine": Cosine,
    "doubling": Doubling,
    "dual": Dual,
    "fixed": Fixed,
    "gate": Gate,
    "lagrangian": Lagrangian,
    "linear": Linear,
    "pi": PI,
    "share": Share,
    "sides": Sides,
    "sign-step": SignStep,
    "steps": Steps,
    "track": Track,
}
"""The controllers that a recipe can name."""
