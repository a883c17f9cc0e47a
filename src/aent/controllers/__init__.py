"""How the coefficient of the entropy bonus moves.

A controller is fed the entropy (nats per token) measured over a window of updates and answers with the
coefficient for the next one. It holds Python floats only: the trainer reduces over ranks first, so that
every rank takes the same step. A window without tokens is never shown to it.
"""

from collections.abc import Callable

from aent.controllers.band import Band
from aent.controllers.base import Controller, Fixed
from aent.controllers.gates import Gate, Sides

__all__ = [
    "CONTROLLERS",
    "Band",
    "Controller",
    "Fixed",
    "Gate",
    "Sides",
]

CONTROLLERS: dict[str, Callable[..., Controller]] = {
    "Band": Band,
    "Fixed": Fixed,
    "Gate": Gate,
    "Sides": Sides,
}
"""The controllers that a recipe can name."""
