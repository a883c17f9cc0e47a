"""Whether two mathematical answers are equal."""

import logging
import re
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

from aent.tasks.limits import _time_limit, is_huge
from aent.tasks.math.boxed import final_answer
from aent.tasks.math.quantities import Unit, number_of, split_unit

_TAIL = 200  # characters of an unmarked text that are searched for its last expression

_MAX_LENGTH = 300

_D = r"\s*\{\s*d\s*(\\?[A-Za-z]+)\s*\}"

_REWRITTEN = (  # what math-verify misreads, as it reads it
    (re.compile(r"(?<=[0-9])\\[,!](?=[0-9]{3}(?![0-9]))"), ""),
    (re.compile(r"\\[,;:! ]|~"), " "),
    (re.compile(rf"\\d?frac{_D}{_D}"), r"\\dot{\1}_{\2}"),  # dx/dt is not the derivative of a constant
    (re.compile(r"(?<=[0-9.])[eE]([-+]?[0-9]{1,3})(?![0-9A-Za-z.^])"), r" \\times 10^{\1}"),
    (re.compile(r"(?<=[0-9])\.(?![0-9])"), ""),  # -1./3
    (re.compile(r"(?<![A-Za-z\\])E(?=_)"), r"\\mathcal{E}"),  # E_1 is no power of e
    (re.compile(r"\\odot(?![A-Za-z])"), "sun"),
)

_WORDS = re.compile(r"\\(?:text|mathrm|operatorname|mbox)|(?<![\\A-Za-z])[A-Za-z]{4}")

_VARIABLE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]")

_SMALL = Fraction(1, 1000)  # below, math-verify's six decimals are fewer than three digits

_CLOSE = 1e-6

logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its own time limit is off


def voted_answer(text: str) -> str | None:
    """Return the answer of a text in one way of writing it, None where there is none."""
    answer = final_answer(text)
    body = None if answer is None else split_unit(answer)[0]
    number = None if body is None else number_of(body)
    if number is not None:
        return str(number)
    parsed = _parsed(text[-_TAIL:]) if answer is None else _parsed(_boxed(answer), _has_words(answer))
    return str(parsed[0]) if parsed else answer or None


def is_right(text: str, gold: str) -> bool:
    """Whether the answer of a text equals the gold answer: as text, as number, or by math-verify.

    Numbers are compared exactly, in any way of writing them. Where both answers have a known unit,
    the units must agree as well, or the number must be converted (1.6 cm is 16 mm, not 1.6 m).
    A text without ``\\boxed{}`` or ``####`` is searched for the last expression in its last 200
    characters. Towers of powers and other numbers too large to write down count as wrong. Reading or
    comparing takes at most two seconds of computing in the main thread, however busy the machine is;
    elsewhere it has no time limit.
    """
    answer = final_answer(text)
    due, due_unit = split_unit(gold, upright=True)
    if answer is None:
        return _equals(due, number_of(due), text[-_TAIL:])
    if answer == gold:
        return True
    given, given_unit = split_unit(answer)
    ratio = _ratio(due_unit, given_unit)
    return ratio is not None and _same(due, ratio, given)


def is_readable(gold: str) -> bool:
    """Whether a gold answer is a number or an expression that math-verify can read."""
    body, _ = split_unit(gold, upright=True)
    if number_of(body) is not None:
        return True
    return any(not isinstance(found, str) for found in _parsed(_boxed(body), _has_words(body)))


def _ratio(due: Unit | None, given: Unit | None) -> Fraction | None:
    """Return how many of the given unit are one of the due; None where they measure different things."""
    if due is None or given is None:
        return Fraction(1)
    return due.size / given.size if due.powers == given.powers else None


def _same(due: str, ratio: Fraction, given: str) -> bool:
    """Whether `ratio` times the due answer is the given one."""
    number, found = number_of(due), number_of(given)
    number = None if number is None else number * ratio
    if number is not None and found is not None:
        return number == found
    if ratio != 1:
        due = f"({due}) \\cdot \\frac{{{ratio.numerator}}}{{{ratio.denominator}}}"
    strip = _has_words(given) or not _VARIABLE.search(due)
    return bool(given) and _equals(due, number, _boxed(given), strip)


def _equals(due: str, number: Fraction | None, text: str, strip: bool = True) -> bool:
    """Whether a text gives the due answer (a `number` or not), to six digits however small it is."""
    if not _equal(due, text, strip):
        return False
    if number is None or not 0 < abs(number) < _SMALL:
        return True
    return _close(number, _parsed(text, strip))


def _close(number: Fraction, readings: list[Any]) -> bool:
    """Whether one of the readings is the number, to six digits."""
    values = [value for value in readings if getattr(value, "is_number", False) and value.is_real]
    return any(abs(float(value) / float(number) - 1) < _CLOSE for value in values)


def _boxed(answer: str) -> str:
    for pattern, written in _REWRITTEN:
        answer = pattern.sub(written, answer)
    return f"\\boxed{{{answer}}}"


def _has_words(answer: str) -> bool:
    """Whether something in an answer is typeset as text, or is a word rather than variables."""
    return bool(_WORDS.search(answer))


@lru_cache(maxsize=20_000)
def _parsed(text: str, strip: bool = True) -> list[Any]:
    """Return what math-verify reads in a text: expressions first, then the text itself.

    With `strip` it leaves out what may be a unit at the end, the variables m, g and t among them.
    """
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    if len(text) > _MAX_LENGTH or is_huge(text):
        return []
    usual = LatexExtractionConfig()
    latex = replace(usual, normalization_config=replace(usual.normalization_config, units=strip))
    with _time_limit():
        return parse(text, [latex, ExprExtractionConfig()], parsing_timeout=0)
    return []


@lru_cache(maxsize=20_000)
def _equal(gold: str, given: str, strip: bool = True) -> bool:
    """Whether math-verify finds a gold answer equal to what a text gives (`strip`: see `_parsed`)."""
    from math_verify import verify

    readings = _parsed(_boxed(gold), _has_words(gold)), _parsed(given, strip)
    if not all(readings):
        return False
    with _time_limit():
        return verify(*readings, timeout_seconds=None)
    return False
