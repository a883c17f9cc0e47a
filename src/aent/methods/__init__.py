"""Named ways of controlling entropy. Each is one value that a reader can check against its paper."""

from aent.methods.base import Method, Paper, Rollouts, Tokens
from aent.methods.clamped import aent
from aent.methods.classic import entropy_bonus, none
from aent.methods.load import METHODS, load_method
from aent.methods.stack import stacked

__all__ = [
    "METHODS",
    "Method",
    "Paper",
    "Rollouts",
    "Tokens",
    "aent",
    "entropy_bonus",
    "load_method",
    "none",
    "stacked",
]
