r"""Expressions in LaTeX: whether two are equal, and one spelling of each.

These functions parse what a model wrote and can take any time and memory, so they run in the grading
process only (`aent.tasks.limits`). math-verify's parser reads the LaTeX. Two expressions are equal if
their difference vanishes at random points; what cannot be evaluated is left to math-verify.
"""

import logging
import random
import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy
from latex2sympy2_extended.latex2sympy2 import (
    ConversionConfig,
    NormalizationConfig,
    latex2sympy,
    normalize_latex,
)
from math_verify import verify
from sympy.core.function import AppliedUndef

_NORMAL = NormalizationConfig(basic_latex=True, malformed_operators=True, nits=True, boxed="none")

_CASED = ConversionConfig(lowercase_symbols=False)

_RANGES = ((0.5, 1.5), (0.5, 1.5), (1.5, 4.0), (-1.5, -0.5), (-4.0, -1.5))  # of the points compared at

_PRECISION = 300  # digits to which a difference of two equal values is computed

_ZERO = sympy.Float("1e-100")  # relative to the values

_D = r"\s*\{\s*d\s*(\\?[A-Za-z]+)\s*\}"

_MISREAD = (  # what the parser misreads, in a spelling that it reads
    (re.compile(rf"\\frac{_D}{_D}"), r"\\dot{\1}_{\2}"),  # dx/dt is not the derivative of a constant
    (re.compile(r"(?<![A-Za-z\\])E(?=_)"), r"\\mathcal{E}"),  # E_1 is no power of e
    (re.compile(r"\\odot(?![A-Za-z])"), "sun"),
)

logging.disable(logging.WARNING)  # math-verify's, on every text that it cannot read


def is_readable(text: str) -> bool:
    """Whether the text is an expression."""
    return _parse(text) is not None


def spelling(text: str) -> str | None:
    """Return an expression in sympy's spelling, which many ways to write it share."""
    expression = _parse(text)
    return None if expression is None else str(expression)


def is_equal(gold: str, given: str, tolerance: float) -> bool:
    """Whether two expressions are equal, or at most `tolerance` apart if both are constant."""
    one, other = _parse(gold), _parse(given)
    if one is None or other is None:
        return False
    if not _scalar(one, other):
        return bool(verify(one, other, timeout_seconds=None))
    verdict = _agree(one, other, tolerance)
    if verdict is None and _is_infinite(one) != _is_infinite(other):
        return False
    return bool(verify(one, other, timeout_seconds=None)) if verdict is None else verdict


def ratio_sign(gold: str, given: str) -> int:
    """Return the sign of the constant c with ``given = c * gold`` everywhere, or 0 if there is none."""
    one, other = _parse(gold), _parse(given)
    if one is None or other is None or not _scalar(one, other):
        return 0
    values = next(_values(one, other), None)
    if values is None or values[0] == 0 or values[1] == 0:
        return 0
    scale = sympy.nsimplify((values[1] / values[0]).evalf(12), rational=True, tolerance=1e-9)
    if not scale.is_Rational or not _agree(sympy.Mul(scale, one, evaluate=False), other, 0):
        return 0
    return 1 if scale > 0 else -1


@lru_cache(maxsize=2000)
def _parse(text: str) -> Any:
    """Return the sympy object that a text is, or None. ``i`` is the imaginary unit, decimals are exact."""
    for pattern, spelled in _MISREAD:
        text = pattern.sub(spelled, text)
    try:
        parsed = latex2sympy(
            normalize_latex(text, _NORMAL),
            is_real=True,
            normalization_config=None,
            conversion_config=_CASED,
        )
    except Exception:  # the parser raises what it likes
        return None
    if not isinstance(parsed, sympy.Expr):
        return parsed
    parsed = parsed.replace(lambda e: isinstance(e, AppliedUndef), lambda e: sympy.Symbol(str(e), real=True))
    exact = {number: sympy.Rational(str(number)) for number in parsed.atoms(sympy.Float)}
    units = {symbol: sympy.I for symbol in parsed.free_symbols if str(symbol) == "i"}
    return parsed.xreplace(exact | units)


def _scalar(one: Any, other: Any) -> bool:
    return all(isinstance(e, sympy.Expr) and not getattr(e, "is_Matrix", False) for e in (one, other))


def _agree(one: Any, other: Any, tolerance: float) -> bool | None:
    """Whether two expressions agree at every point where both are real; None if there is no such point."""
    compared = False
    for a, b, difference in _values(one, other):
        compared = True
        size = abs(difference)
        if size > tolerance and size > _ZERO * max(abs(a), abs(b)):
            return False
    return True if compared else None


def _is_infinite(expression: Any) -> bool:
    return expression.evalf(15).is_infinite is True


def _values(one: Any, other: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield the values of both expressions and of their difference, at each point where they have any."""
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    difference = sympy.Add(one, sympy.Mul(-1, other, evaluate=False), evaluate=False)
    for index, (low, high) in enumerate(_RANGES if symbols else _RANGES[:1]):
        point = {symbol: _coordinate(symbol, index, low, high) for symbol in symbols}
        a, b = (e.evalf(15, subs=point) for e in (one, other))
        if not all(value.is_number and value.is_finite for value in (a, b)):
            continue
        if symbols and low < 0 and not (a.is_real and b.is_real):  # another branch of a root or logarithm
            continue
        yield a, b, difference.evalf(2, subs=point, maxn=_PRECISION)


def _coordinate(symbol: Any, index: int, low: float, high: float) -> Any:
    value = random.Random(f"{symbol} {index}").uniform(low, high)
    return sympy.Rational(Fraction(value).limit_denominator(1000))
