"""aent keeps a language model exploring while reinforcement learning trains it.

This is the public surface: everything that a training loop or an extension needs. ``import aent`` itself
loads nothing; each name loads the module that defines it when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aent.controllers import (
        CONTROLLERS,
        PI,
        Anchor,
        Band,
        Controller,
        Cosine,
        Doubling,
        Dual,
        Effect,
        Fixed,
        Foresighted,
        Gate,
        Lagrangian,
        Linear,
        Share,
        Sides,
        SignStep,
        Steps,
        Track,
    )
    from aent.errors import InputError
    from aent.method import Edge, Method, Paper, Rollouts, Tokens
    from aent.methods.load import METHODS, load_method
    from aent.methods.stack import stacked
    from aent.objective import (
        changed_rewards,
        clip_edges,
        entropy_sum,
        first_order_effect,
        rollout_advantages,
        token_advantages,
        with_terms,
    )
    from aent.ops import (
        EntropySlopes,
        TokenLoss,
        TokenStats,
        entropy_slopes,
        linear_token_loss,
        linear_token_stats,
        logit_slopes,
        token_stats,
    )
    from aent.steering import Steering, Sums, window_sums
    from aent.subsets import Cut, Fraction, Full, Subset, TopK, TopP
    from aent.tasks import TASKS, Task, load_task

__version__ = "0.2.0"

MODULES = {
    "CONTROLLERS": "aent.controllers",
    "METHODS": "aent.methods.load",
    "PI": "aent.controllers",
    "TASKS": "aent.tasks",
    "Anchor": "aent.controllers",
    "Band": "aent.controllers",
    "Controller": "aent.controllers",
    "Cosine": "aent.controllers",
    "Cut": "aent.subsets",
    "Doubling": "aent.controllers",
    "Dual": "aent.controllers",
    "Edge": "aent.method",
    "Effect": "aent.controllers",
    "EntropySlopes": "aent.ops",
    "Fixed": "aent.controllers",
    "Foresighted": "aent.controllers",
    "Fraction": "aent.subsets",
    "Full": "aent.subsets",
    "Gate": "aent.controllers",
    "InputError": "aent.errors",
    "Lagrangian": "aent.controllers",
    "Linear": "aent.controllers",
    "Method": "aent.method",
    "Paper": "aent.method",
    "Rollouts": "aent.method",
    "Share": "aent.controllers",
    "Sides": "aent.controllers",
    "SignStep": "aent.controllers",
    "Steering": "aent.steering",
    "Steps": "aent.controllers",
    "Subset": "aent.subsets",
    "Sums": "aent.steering",
    "Task": "aent.tasks",
    "TokenLoss": "aent.ops",
    "TokenStats": "aent.ops",
    "Tokens": "aent.method",
    "TopK": "aent.subsets",
    "TopP": "aent.subsets",
    "Track": "aent.controllers",
    "changed_rewards": "aent.objective",
    "clip_edges": "aent.objective",
    "entropy_slopes": "aent.ops",
    "entropy_sum": "aent.objective",
    "first_order_effect": "aent.objective",
    "linear_token_loss": "aent.ops",
    "linear_token_stats": "aent.ops",
    "load_method": "aent.methods.load",
    "load_task": "aent.tasks",
    "logit_slopes": "aent.ops",
    "rollout_advantages": "aent.objective",
    "stacked": "aent.methods.stack",
    "token_advantages": "aent.objective",
    "token_stats": "aent.ops",
    "window_sums": "aent.steering",
    "with_terms": "aent.objective",
}
"""The module that defines each public name."""

__all__ = [
    "CONTROLLERS",
    "METHODS",
    "PI",
    "TASKS",
    "Anchor",
    "Band",
    "Controller",
    "Cosine",
    "Cut",
    "Doubling",
    "Dual",
    "Edge",
    "Effect",
    "EntropySlopes",
    "Fixed",
    "Foresighted",
    "Fraction",
    "Full",
    "Gate",
    "InputError",
    "Lagrangian",
    "Linear",
    "Method",
    "Paper",
    "Rollouts",
    "Share",
    "Sides",
    "SignStep",
    "Steering",
    "Steps",
    "Subset",
    "Sums",
    "Task",
    "TokenLoss",
    "TokenStats",
    "Tokens",
    "TopK",
    "TopP",
    "Track",
    "changed_rewards",
    "clip_edges",
    "entropy_slopes",
    "entropy_sum",
    "first_order_effect",
    "linear_token_loss",
    "linear_token_stats",
    "load_method",
    "load_task",
    "logit_slopes",
    "rollout_advantages",
    "stacked",
    "token_advantages",
    "token_stats",
    "window_sums",
    "with_terms",
]


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
