"""The kinds of answers: numbers, words, quantities, tuples, sets, intervals, matrices, equations."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Union

from aent.tasks.math.quantities import Unit


@dataclass(frozen=True)
class Number:
    """A number written out, in decimals or as a fraction."""

    value: Fraction
    step: Fraction = Fraction(0)
    """One unit in the last decimal place; 0 for a whole number or a fraction."""
    percent: bool = False
    divided: Literal["", "slash", "frac"] = ""
    """How a division with a whole result is written: ``84/2``, or with ``\\frac``."""


@dataclass(frozen=True)
class Words:
    """Words or a letter typeset as text, in lower case and without punctuation."""

    text: str


@dataclass(frozen=True)
class Based:
    """Digits in a base other than that of decimals: ``52_8``."""

    digits: str
    base: int


@dataclass(frozen=True)
class Expression:
    """Any expression without a structure of its own, in LaTeX."""

    latex: str


@dataclass(frozen=True)
class Measured:
    """An answer with a unit: one that is known, or words."""

    answer: "Answer"
    unit: Unit | None
    words: frozenset[str]


@dataclass(frozen=True)
class Several:
    """Several answers. `kind` is the two brackets around them, or ``list``, ``union``, ``ratio``."""

    kind: str
    items: tuple["Answer", ...]

    @property
    def ordered(self) -> bool:
        """Whether the order of the items matters."""
        return self.kind not in ("list", "union", "{}")


@dataclass(frozen=True)
class Matrix:
    """Rows of cells. `kind` is its environment: ``pmatrix``, ``vmatrix``, ..."""

    kind: str
    rows: tuple[tuple["Answer", ...], ...]


@dataclass(frozen=True)
class Named:
    """An answer with a name: ``x = 5``, ``x \\in [0, 1]``, ``x < 3`` as an interval."""

    name: str
    answer: "Answer"
    equation: "Relation | None" = None


@dataclass(frozen=True)
class Relation:
    """Two or more sides and the signs between them."""

    signs: tuple[str, ...]
    sides: tuple[str, ...]


Answer = Union[Number, Words, Based, Expression, Measured, Several, Matrix, Named, Relation]  # noqa: UP007
