"""What a method is made of."""

from dataclasses import dataclass

from aent.controllers import Controller
from aent.subsets import Full, Subset


@dataclass(frozen=True)
class Paper:
    """Where a method comes from."""

    title: str
    arxiv: str
    citation: str
    """BibTeX."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way of controlling entropy: a subset of tokens and a rule for the coefficient.

    A trainer runs a copy of the controller, so a method can be handed to several trainers.
    """

    name: str
    controller: Controller | None = None
    """How the coefficient moves; None leaves the loss of the host as it is."""
    subset: Subset = Full()
    """The tokens over which the entropy is taken."""
    formula: str = ""
    """One line, as printed by ``aent methods``."""
    paper: Paper | None = None
