"""Mathematical answers: finding the final one in a text, and comparing two of them."""

import logging
import math
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from typing import Any

_MARK = "####"
_TAIL = 200  # characters of an unmarked text that are searched for its last expression
_MAX_LENGTH = 300
_SECONDS = 1

_NUMBER = re.compile(r"[-+]?([0-9]{1,100}(\.[0-9]{0,100})?|\.[0-9]{1,100})", re.ASCII)
_THOUSANDS = re.compile(r"(?<=[0-9])(?:,|\{,\}|\\,|\\!,?)(?=[0-9]{3}(?![0-9]))", re.ASCII)

_POWER = re.compile(r"([)}]?)\s*(?:\^|\*\*)\s*")
_NUMERIC_POWER = re.compile(r"[0-9)}]\s*(?:\^|\*\*)|!", re.ASCII)
_EXPONENT = re.compile(r"[-+]?\w*", re.ASCII)
_FACTORIAL = re.compile(r"(?:[0-9]{4}|[)}!])\s*!", re.ASCII)
_MAX_POWER = 10_000

logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its own time limit is off


def final_answer(text: str) -> str | None:
    r"""Return the inside of the last ``\boxed{...}``, or what follows the last ``####``."""
    boxed = _last_boxed(text)
    if boxed is not None:
        return boxed.strip()
    _, mark, rest = text.rpartition(_MARK)
    return rest.strip().split("\n")[0].strip() if mark else None


def voted_answer(text: str) -> str | None:
    """Return the answer of a text in one way of writing it, None where there is none."""
    answer = final_answer(text)
    number = None if answer is None else number_of(answer)
    if number is not None:
        return str(number)
    parsed = _parsed(_boxed(answer) if answer is not None else text[-_TAIL:])
    return str(parsed[0]) if parsed else answer or None


def is_right(text: str, gold: str) -> bool:
    """Whether the answer of a text equals the gold answer: as text, as number, or by math-verify.

    A text without ``\\boxed{}`` or ``####`` is searched for the last expression in its last 200
    characters. Towers of powers and other numbers too large to write down count as wrong. A
    comparison takes at most a second in the main thread; elsewhere it has no time limit.
    """
    answer = final_answer(text)
    if answer is not None and answer == gold:
        return True
    numbers = None if answer is None else number_of(answer), number_of(gold)
    if None not in numbers:
        return numbers[0] == numbers[1]
    return _equal(_boxed(gold), _boxed(answer) if answer else text[-_TAIL:])


def is_readable(gold: str) -> bool:
    """Whether a gold answer is a number or an expression that math-verify can read."""
    return number_of(gold) is not None or any(not isinstance(found, str) for found in _parsed(_boxed(gold)))


def number_of(answer: str) -> Fraction | None:
    """Return the value of a plain decimal number, also one with ``$`` or thousands separators."""
    bare = answer.replace("\\$", "").replace("$", "").strip().rstrip(".")
    written = _THOUSANDS.sub("", bare)
    return Fraction(written) if _NUMBER.fullmatch(written) else None


def is_huge(text: str) -> bool:
    """Whether a text holds a number that would take sympy seconds or gigabytes to work out.

    That is a power of a power of numbers, a large factorial, or an exponent beyond 10000.
    """
    largest, nested = 1, 1
    for power in _POWER.finditer(text):
        exponent = _exponent(text, power.end())
        after = text[power.end() + len(exponent) :].lstrip()
        numbers = re.findall("[0-9]+", exponent)
        if _NUMERIC_POWER.search(exponent) or (numbers and after.startswith(("^", "**", "!"))):
            return True
        size = math.prod(max(1, int(number[:6])) for number in numbers)
        if power[1]:  # a power of something in brackets, perhaps of a power
            nested *= size
        else:
            largest = max(largest, size)
    return largest * nested > _MAX_POWER or bool(_FACTORIAL.search(text))


def _last_boxed(text: str) -> str | None:
    opening = text.rfind("\\boxed{")
    if opening < 0:
        return None
    start = opening + len("\\boxed{")
    depth = 1
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[start:position]
    return None


def _boxed(answer: str) -> str:
    return f"\\boxed{{{answer}}}"


@lru_cache(maxsize=20_000)
def _parsed(text: str) -> list[Any]:
    """Return what math-verify reads in a text: expressions first, then the text itself."""
    from math_verify import parse

    if len(text) > _MAX_LENGTH or is_huge(text):
        return []
    with _time_limit():
        return parse(text, parsing_timeout=0)
    return []


@lru_cache(maxsize=20_000)
def _equal(gold: str, given: str) -> bool:
    from math_verify import verify

    readings = _parsed(gold), _parsed(given)
    if not all(readings):
        return False
    with _time_limit():
        return verify(*readings, timeout_seconds=None)
    return False


class _TimeIsUpError(BaseException):
    """Not an Exception: math-verify and sympy catch those."""


@contextmanager
def _time_limit() -> Iterator[None]:
    """Leave the block after `_SECONDS` of work; in other threads than the main one there is no limit.

    The alarm that math-verify sets goes off once, and Python drops what is raised while it runs a
    destructor. This one goes off again until the block is left.
    """
    if threading.current_thread() is not threading.main_thread():  # no other receives signals
        yield
        return
    working = True

    def expire(*_: Any) -> None:
        if working:
            raise _TimeIsUpError

    previous = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS, _SECONDS / 10)
    try:
        yield
    except _TimeIsUpError:
        pass
    finally:
        working = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _exponent(text: str, start: int) -> str:
    """Return the exponent that begins at `start`: in balanced brackets, or one number or word."""
    if text[start : start + 1] not in ("(", "{"):
        match = _EXPONENT.match(text, start)
        return match[0] if match else ""
    depth = 0
    for position in range(start, len(text)):
        depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[start : position + 1]
    return text[start:]
