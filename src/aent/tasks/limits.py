"""Limits on grading: time, and numbers too large to work out."""

import math
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SECONDS = 2

_TICK = 0.05  # seconds between two looks at the time spent

_POWER = re.compile(r"([)}]?)\s*(?:\^|\*\*)\s*")

_NUMERIC_POWER = re.compile(r"[0-9)}]\s*(?:\^|\*\*)|!", re.ASCII)

_EXPONENT = re.compile(r"[-+]?\w*", re.ASCII)

_FACTORIAL = re.compile(r"(?:[0-9]{4}|[)}!])\s*!", re.ASCII)

_MAX_POWER = 10_000


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


class _TimeIsUpError(BaseException):
    """Not an Exception: math-verify and sympy catch those."""


@contextmanager
def _time_limit() -> Iterator[None]:
    """Leave the block after `_SECONDS` of this thread's computing; only the main thread has a limit.

    Computing, not passing, time: on a busy machine the same answers are right. The alarm that
    math-verify sets goes off once, and Python drops what is raised while it runs a destructor. This
    one goes off again until the block is left.
    """
    if threading.current_thread() is not threading.main_thread():  # no other receives signals
        yield
        return
    working = True
    end = time.thread_time() + _SECONDS

    def look(*_: Any) -> None:
        if working and time.thread_time() > end:
            raise _TimeIsUpError

    previous = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _TICK, _TICK)
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
