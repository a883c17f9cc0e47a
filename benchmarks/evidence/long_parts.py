"""Methods of the long runs that have no name of their own."""

from dataclasses import replace

from aent.controllers import Fixed
from aent.method import Method
from aent.methods.aent_auto import aent_auto
from aent.subsets import Fraction


def weights_alone() -> Method:
    """Return aent-auto without its bonus: ``A <- (1 - r * s) * A``, with its r and s."""
    return replace(aent_auto(), name="weights-alone", controller=Fixed(coef=0.0))


def two_thirds() -> Method:
    """Return aent-auto as it was: its bonus on two thirds of the vocabulary in place of the nucleus."""
    return replace(aent_auto(), name="two-thirds", subset=Fraction(drop=0.33))
