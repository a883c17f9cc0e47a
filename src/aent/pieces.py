"""What a user's own pieces must have, and what they may return; each error names the piece and the method.

A wrong shape would otherwise broadcast silently, and a NaN would reach the weights.
"""

import json
import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from aent.errors import InputError

CONTROLLER = ("coef", "band", "update", "state_dict", "load_state_dict")
"""The members of a controller."""


def require_members(what: str, piece: Any, members: Sequence[str]) -> None:
    """Check that an object has the members its users rely on.

    Raises:
        InputError: naming the missing ones.
    """
    missing = [name for name in members if not hasattr(piece, name)]
    if missing:
        raise InputError(
            f"{what} is {piece!r}, which has no {', '.join(missing)}; give an object with "
            f"{', '.join(members)}, see docs/trl.md"
        )


def require_state(what: str, controller: Any) -> None:
    """Check that a controller's state can be stored in a checkpoint.

    Raises:
        InputError: if `state_dict` does not return a mapping of JSON values.
    """
    state = controller.state_dict()
    try:
        if not isinstance(state, dict):
            raise TypeError(f"it is a {type(state).__name__}")
        json.dumps(state)
    except TypeError as error:
        raise InputError(
            f"state_dict() of {what} returned {state!r}, which a checkpoint cannot store: {error}. Return a "
            "dict of numbers, strings, lists and dicts"
        ) from None


def finite_coefficient(what: str, coef: Any) -> float:
    """Return the coefficient of a controller.

    Raises:
        InputError: if it is not a finite number.
    """
    if not isinstance(coef, Real) or isinstance(coef, bool) or not math.isfinite(coef):
        raise InputError(
            f"the coefficient of {what} is {coef!r}; it must be a finite number, or the next step ruins the "
            "weights. Bound it or lower its learning rate, and resume from the last checkpoint"
        )
    return float(coef)


def checked_values(what: str, values: Any, shape: Sequence[int], meaning: str) -> Tensor:
    """Return the tensor that a part of a method returned.

    Args:
        what: the part and the method, as the message names them.
        values: what it returned.
        shape: the only shape allowed; nothing is broadcast.
        meaning: what the dimensions are, such as ``(batch, tokens)``.

    Raises:
        InputError: if it is not a tensor of that shape, or holds NaN or infinity.
    """
    if not isinstance(values, Tensor):
        raise InputError(f"{what} returned a {type(values).__name__}; return a tensor of shape {meaning}")
    if values.shape != tuple(shape):
        raise InputError(
            f"{what} returned a tensor of shape {tuple(values.shape)}; it must be {meaning}, "
            f"here {tuple(shape)}"
        )
    bad = int((~values.detach().isfinite()).sum())
    if bad:
        raise InputError(
            f"{what} returned NaN or infinity for {bad} of {values.numel()} values; return finite numbers, "
            "also where the mask is 0 or all rewards of a group are equal"
        )
    return values


def checked_edges(what: str, edges: Any, shape: Sequence[int]) -> tuple[Any, Any]:
    """Return the clipping range (low, high) that a method returned; infinity switches an edge off.

    Raises:
        InputError: if it is not a pair, or an edge is neither a number nor a tensor of `shape`, or is NaN.
    """
    if not isinstance(edges, tuple) or len(edges) != 2:
        raise InputError(
            f"{what} returned a {type(edges).__name__}; return a pair (low, high) for [1 - low, 1 + high]"
        )
    for name, edge in zip(("low", "high"), edges, strict=True):
        if isinstance(edge, Tensor) and edge.shape not in ((), tuple(shape)):
            raise InputError(
                f"{what} returned {name!r} of shape {tuple(edge.shape)}; it must be a number or a tensor of "
                f"shape (batch, tokens), here {tuple(shape)}"
            )
        if not isinstance(edge, Tensor) and not (isinstance(edge, Real) and not isinstance(edge, bool)):
            raise InputError(f"{what} returned {edge!r} for {name!r}; it must be a number or a tensor")
        if bool(torch.as_tensor(edge).isnan().any()):
            raise InputError(f"{what} returned NaN for {name!r}; return a number for every token")
    return edges
