"""Checks of the arguments of methods."""

import math

from aent.errors import InputError


def require_between(name: str, value: float, low: float, high: float) -> None:
    """Raise `InputError` unless low <= value <= high."""
    if not low <= value <= high:
        raise InputError(f"{name}={value}: give a number from {low:g} to {high:g}")


def require_at_least(name: str, value: float, low: float) -> None:
    """Raise `InputError` unless the value is finite and at least `low`."""
    if not low <= value < math.inf:
        raise InputError(f"{name}={value}: give a finite number, at least {low:g}")
