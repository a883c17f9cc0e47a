"""Schedules: what moves with the number of updates alone."""

import math


def linear(start: float, end: float, steps: float, done: int) -> float:
    """Return ``start + (end - start) * min(1, done / steps)``."""
    return start + (end - start) * min(1.0, done / steps)


def cosine(start: float, end: float, steps: float, done: int) -> float:
    """Return ``end + (start - end) * (1 + cos(pi * min(1, done / steps))) / 2``."""
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, done / steps))) / 2
