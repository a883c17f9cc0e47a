"""Checks of the arguments of the doors. Each function raises `InputError`."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from aent.errors import InputError


def require_floating(name: str, given: Tensor) -> None:
    """Raise unless a tensor is floating point and its last dimension is not empty."""
    if not given.is_floating_point():
        raise InputError(f"`{name}` is {given.dtype}; it must be a floating point tensor.")
    if given.ndim == 0 or given.shape[-1] == 0:
        raise InputError(f"`{name}` has shape {tuple(given.shape)}; its last dimension is empty.")


def require_positive(name: str, given: float) -> None:
    """Raise unless a number is finite and above 0."""
    if not (given > 0 and math.isfinite(given)):
        raise InputError(f"`{name}` is {given}; it must be finite and above 0.")


def require_targets(targets: Tensor, name: str, beside: Tensor, *, vocab: int) -> None:
    """Raise unless the targets are token ids and fit the tensor beside them."""
    if targets.shape != beside.shape[:-1]:
        raise InputError(
            f"`targets` has shape {tuple(targets.shape)}, `{name}` {tuple(beside.shape)};"
            f" `targets` must have the shape of `{name}` without its last dimension."
        )
    if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
        raise InputError(f"`targets` is {targets.dtype}; it must hold token ids (integers).")
    if not targets.numel():
        return
    low, high = torch.stack(targets.aminmax()).tolist()  # one small reduction, one synchronisation
    if low < 0 or high >= vocab:
        raise InputError(
            f"`targets` runs from {low} to {high}; token ids must lie in [0, {vocab})."
            " Put any valid id at padded positions and mask the results there."
        )


def require_head(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Raise unless hidden states, weight and bias fit together."""
    require_floating("weight", weight)
    if weight.ndim != 2 or weight.shape[1] != hidden.shape[-1]:
        raise InputError(
            f"`weight` has shape {tuple(weight.shape)}, `hidden` {tuple(hidden.shape)};"
            " `weight` must be [vocab, dim] with the last dimension of `hidden`."
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise InputError(f"`bias` has shape {tuple(bias.shape)}; it must be [{weight.shape[0]}].")
    dtypes = {x.dtype for x in (hidden, weight, bias) if x is not None}
    if len(dtypes) > 1 and not torch.is_autocast_enabled(hidden.device.type):
        raise InputError(
            f"the dtypes of `hidden`, `weight` and `bias` are {sorted(map(str, dtypes))};"
            " outside autocast they must be the same: convert them, or enter torch.autocast."
        )


def require_overwritable(logits: Tensor, backend: str) -> None:
    """Raise unless backward may overwrite the logits."""
    if backend == "reference":
        raise InputError(
            "`overwrite` does not work with backend='reference', whose backward is autograd's."
            " Leave it off, or use backend='auto'."
        )
    leaf = logits.is_leaf and logits.requires_grad
    expanded = any(step == 0 and size > 1 for step, size in zip(logits.stride(), logits.shape, strict=True))
    if leaf or expanded:
        raise InputError(
            "`overwrite` is for logits that an operation computed and that own their memory; these"
            f" are {'a leaf' if leaf else 'expanded'}. Leave it off."
        )


def require_columns(columns: Sequence[Tensor], targets: Tensor) -> None:
    """Raise unless each column has one constant per token."""
    for i, column in enumerate(columns):
        if column.shape != targets.shape:
            raise InputError(
                f"`columns[{i}]` has shape {tuple(column.shape)}, `targets` {tuple(targets.shape)};"
                " a column must have one value per target."
            )
        if column.requires_grad:
            raise InputError(
                f"`columns[{i}]` requires a gradient, but columns are constants. Detach it, or use"
                " linear_token_stats and write the loss with what it returns."
            )


def require_losses(losses: object, logp: Tensor) -> None:
    """Raise unless a loss returned one value per row, computed from its arguments."""
    if not isinstance(losses, Tensor) or losses.shape != logp.shape:
        given = f"shape {tuple(losses.shape)}" if isinstance(losses, Tensor) else type(losses).__name__
        raise InputError(
            f"`loss` returned {given} for {len(logp)} rows; it must return one loss per row, because"
            " linear_token_loss sums them."
        )
    if logp.requires_grad and not losses.requires_grad:
        raise InputError(
            "the result of `loss` carries no gradient; compute it from the log-probabilities or the"
            " entropies that it receives, without detaching them."
        )
