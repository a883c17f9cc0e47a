"""aent keeps a language model exploring while reinforcement learning trains it."""

from aent.controllers import Band, Controller, Fixed
from aent.errors import InputError
from aent.methods import METHODS, Method, load_method
from aent.objective import with_terms
from aent.ops import TokenLoss, TokenStats, linear_token_loss, linear_token_stats, token_stats
from aent.subsets import Fraction, Full, Subset, TopK, TopP

__version__ = "0.1.0"

__all__ = [
    "METHODS",
    "Band",
    "Controller",
    "Fixed",
    "Fraction",
    "Full",
    "InputError",
    "Method",
    "Subset",
    "TokenLoss",
    "TokenStats",
    "TopK",
    "TopP",
    "linear_token_loss",
    "linear_token_stats",
    "load_method",
    "token_stats",
    "with_terms",
]
