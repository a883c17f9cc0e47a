"""Methods of the long runs that have no name of their own."""

from dataclasses import replace

from aent.controllers import Fixed
from aent.method import Method
from aent.methods.aent_auto import aent_auto
from aent.subsets import TopP


def weights_alone() -> Method:
    """Return aent-auto without its bonus: ``A <- (1 - r * s) * A``, with its r and s."""
    return replace(aent_auto(), name="weights-alone", controller=Fixed(coef=0.0))


def nucleus() -> Method:
    """Return aent-auto with its bonus on the nucleus of mass .9 in place of two thirds of the vocabulary."""
    return replace(aent_auto(), name="nucleus", subset=TopP(mass=0.9))
