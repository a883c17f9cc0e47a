"""Named ways of controlling entropy. Each is one value that a reader can check against its paper."""

from aent.method import Method, Paper, Rollouts, Tokens
from aent.methods.aent import aent
from aent.methods.entropy_bonus import entropy_bonus
from aent.methods.load import METHODS, load_method
from aent.methods.none import none
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
