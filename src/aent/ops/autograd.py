"""The doors around any backend's arithmetic: what is saved, recomputed and differentiated.

Forward saves the inputs and five numbers per row (`aent.ops.closed_form.Kept`). The linear doors compute the
logits of one chunk of rows at a time, always in the same memory. Autocast is switched off inside.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.autograd.graph import increment_version

from aent.ops.backend import Arithmetic, statistics_dtype
from aent.ops.checks import require_losses
from aent.ops.closed_form import Kept, RowStats, slices
from aent.ops.head import Head, HeadGradients
from aent.ops.stats import TokenLoss, TokenStats
from aent.subsets import Subset

MEASURED, NEEDED, SAVED = len(RowStats._fields), len(Kept._fields), len(Kept._fields) - 1

RowLoss = Callable[..., Float[Tensor, " rows"]]

Gather = Callable[[], AbstractContextManager[object]]


class Backend(NamedTuple):
    """The doors of one way of computing."""

    token_stats: Callable[..., TokenStats]
    linear_token_stats: Callable[..., TokenStats]
    linear_token_loss: Callable[..., TokenLoss]


def backend(make: Callable[[Tensor, Subset, Head], Arithmetic]) -> Backend:
    """Build the doors around the arithmetic that `make` chooses for a tensor, a subset and a head.

    `make` raises `InputError` for what it cannot compute.
    """

    def token_stats(
        logits: Float[Tensor, "rows vocab"],
        targets: Int[Tensor, " rows"],
        subset: Subset,
        temperature: float,
        overwrite: bool = False,
    ) -> TokenStats:
        """See `aent.ops.token_stats` (nats)."""
        arithmetic = make(logits, subset, Head(logits.dtype, temperature))
        return from_logits(arithmetic, logits, targets, overwrite)

    def linear_token_stats(
        hidden: Float[Tensor, "rows dim"],
        weight: Float[Tensor, "vocab dim"],
        bias: Float[Tensor, " vocab"] | None,
        targets: Int[Tensor, " rows"],
        subset: Subset,
        temperature: float,
        softcap: float | None,
        gather: Gather,
    ) -> TokenStats:
        """See `aent.ops.linear_token_stats` (nats). Called inside `gather`, which backward enters again."""
        arithmetic = make(hidden, subset, head_of(hidden, temperature, softcap, gather))
        return from_hidden(arithmetic, hidden, weight, bias, targets)

    def linear_token_loss(
        hidden: Float[Tensor, "rows dim"],
        weight: Float[Tensor, "vocab dim"],
        bias: Float[Tensor, " vocab"] | None,
        targets: Int[Tensor, " rows"],
        subset: Subset,
        temperature: float,
        softcap: float | None,
        loss: RowLoss,
        columns: Sequence[Float[Tensor, " rows"]],
    ) -> TokenLoss:
        """See `aent.ops.linear_token_loss` (nats). Called inside `gather`."""
        arithmetic = make(hidden, subset, head_of(hidden, temperature, softcap))
        wanted = torch.is_grad_enabled()
        total, *stats = _Loss.apply(hidden, weight, bias, targets, columns, arithmetic, loss, wanted)
        return TokenLoss(total, TokenStats(*stats))

    return Backend(token_stats, linear_token_stats, linear_token_loss)


def head_of(hidden: Tensor, temperature: float, softcap: float | None, *gather: Gather) -> Head:
    """Return a head whose logits are in the dtype of `hidden`, or in that of autocast if it is on."""
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    return Head(dtype, temperature, softcap, *gather)


def from_logits(arithmetic: Arithmetic, logits: Tensor, targets: Tensor, overwrite: bool) -> TokenStats:
    """Compute statistics of rows of logits."""
    return TokenStats(*_FromLogits.apply(logits, targets, arithmetic, overwrite))


def from_hidden(
    arithmetic: Arithmetic, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor
) -> TokenStats:
    """Compute statistics of rows of hidden states."""
    return TokenStats(*_FromHidden.apply(hidden, weight, bias, targets, arithmetic))


class _FromLogits(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, targets: Tensor, arithmetic: Arithmetic, overwrite: bool
    ) -> tuple[Tensor, ...]:
        ctx.arithmetic, ctx.overwrite = arithmetic, overwrite
        measured = logits.new_empty(len(logits), MEASURED, dtype=statistics_dtype(logits))
        with no_autocast(logits):
            arithmetic.measure(logits, targets, measured)
        return _outputs(ctx, measured, logits, targets)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        logits, targets, *saved = ctx.saved_tensors
        grad = logits.detach() if ctx.overwrite else untouched(logits, tuple(logits.shape), logits.dtype)
        with no_autocast(logits):
            ups = _upstream(grads, ctx.arithmetic.head)
            ctx.arithmetic.differentiate(logits.detach(), targets, _kept(*saved), ups, grad)
        if ctx.overwrite:
            increment_version(logits)  # so that autograd refuses to read the overwritten logits
        return grad, None, None, None


class _FromHidden(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        arithmetic: Arithmetic,
    ) -> tuple[Tensor, ...]:
        ctx.arithmetic = arithmetic
        measured = hidden.new_empty(len(hidden), MEASURED, dtype=statistics_dtype(hidden))
        with no_autocast(hidden):
            for rows, z, _, _ in _chunks(arithmetic, hidden, weight, bias):
                arithmetic.measure(z, targets[rows], measured[rows])
        return _outputs(ctx, measured, hidden, weight, bias, targets)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets, *saved = ctx.saved_tensors
        arithmetic: Arithmetic = ctx.arithmetic
        with arithmetic.head.gather(), no_autocast(hidden):
            kept, ups = _kept(*saved), _upstream(grads, arithmetic.head)
            sums = _gradients(arithmetic, ctx.needs_input_grad, hidden, weight, bias)
            for rows, z, h, w in _chunks(arithmetic, hidden, weight, bias):
                arithmetic.differentiate(z, targets[rows], kept[rows], ups[rows], z)
                sums.add_(rows, z, h, w)
            if sums.hidden is not None:
                sums.hidden = arithmetic.summed(sums.hidden)
            return *sums.finish(hidden, weight, bias), None, None


class _Loss(torch.autograd.Function):
    """Forward computes the gradients as well, while a chunk of logits exists; backward scales them."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        columns: Sequence[Tensor],
        arithmetic: Arithmetic,
        loss: RowLoss,
        wanted: bool,
    ) -> tuple[Tensor, ...]:
        measured = hidden.new_empty(len(hidden), MEASURED, dtype=statistics_dtype(hidden))
        needed = [wanted and x for x in ctx.needs_input_grad]
        sums = _gradients(arithmetic, needed, hidden, weight, bias)
        total = measured.new_zeros(())
        with no_autocast(hidden):
            for rows, z, h, w in _chunks(arithmetic, hidden, weight, bias):
                arithmetic.measure(z, targets[rows], measured[rows])
                value, grads = _slopes(loss, measured[rows], [x[rows] for x in columns], wanted)
                total += value
                if any(needed):
                    ups, kept = _upstream(grads, arithmetic.head), measured[rows, -NEEDED:].contiguous()
                    arithmetic.differentiate(z, targets[rows], kept, ups, z)
                    sums.add_(rows, z, h, w)
        ctx.gradients = sums.finish(hidden, weight, bias)
        stats = _results(measured)
        ctx.mark_non_differentiable(*stats)
        return total, *stats

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad: Tensor, *_: Tensor
    ) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError(
                "the loss of linear_token_loss was differentiated twice, but its gradients exist only once."
                " Call it again, or use linear_token_stats, which recomputes them."
            )
        gradients, ctx.gradients = ctx.gradients, None
        if grad != 1:
            gradients = [None if x is None else x.mul_(grad) for x in gradients]
        return *gradients, *[None] * 5


def _slopes(
    loss: RowLoss, measured: Tensor, columns: list[Tensor], wanted: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the sum of the loss over some rows, and its derivatives with respect to logp and entropy."""
    row = RowStats(*measured.unbind(-1))
    with torch.enable_grad():
        logp, entropy = (x.clone().requires_grad_() for x in (row.logp, row.entropy))
        losses = loss(logp, entropy, *columns)
        require_losses(losses, logp)
        value = losses.sum()
        grads = ()
        if wanted:
            grads = torch.autograd.grad(value, (logp, entropy), allow_unused=True, materialize_grads=True)
    return value.detach(), grads


def _chunks(
    arithmetic: Arithmetic, hidden: Tensor, weight: Tensor, bias: Tensor | None
) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """Yield chunks of rows: their logits, and hidden states and weight in the dtype of the products.

    The logits of every chunk are in the same memory.
    """
    head = arithmetic.head
    h, w, b = head.cast(hidden, weight, bias)
    step = _step(arithmetic, hidden, weight)
    z = h.new_empty(step, len(w), dtype=head.dtype)
    for rows in slices(len(h), step):
        yield rows, head.logits_(z[: rows.stop - rows.start], h[rows], w, b), h[rows], w


def _step(arithmetic: Arithmetic, hidden: Tensor, weight: Tensor) -> int:
    return max(1, min(len(hidden), arithmetic.chunk_rows(hidden, len(weight))))


def _gradients(
    arithmetic: Arithmetic, needed: Sequence[bool], hidden: Tensor, weight: Tensor, bias: Tensor | None
) -> HeadGradients:
    """Allocate the gradients, in the dtype of the statistics if several chunks are summed."""
    several = len(hidden) > _step(arithmetic, hidden, weight)
    dtype = statistics_dtype(hidden) if several else weight.dtype
    return HeadGradients(needed, hidden, weight, bias, dtype)


def no_autocast(x: Tensor) -> torch.autocast:
    """Switch autocast off, because the dtypes of the products are chosen here."""
    return torch.autocast(x.device.type, enabled=False)


def _outputs(ctx: Any, measured: Tensor, *inputs: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    logp, entropy, full_entropy = _results(measured)
    ctx.mark_non_differentiable(full_entropy)
    ctx.save_for_backward(*inputs, entropy, measured[:, -SAVED:].clone())
    return logp, entropy, full_entropy


def _results(measured: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    row = RowStats(*measured.unbind(-1))
    return row.logp.clone(), row.entropy.clone(), row.full_entropy.clone()


def _kept(entropy: Tensor, saved: Tensor) -> Float[Tensor, "rows 6"]:
    return torch.cat([entropy[:, None], saved], -1)


def _upstream(grads: Sequence[Tensor], head: Head) -> Float[Tensor, "rows 2"]:
    """Return the gradients of (logp, entropy), divided by the temperature."""
    return torch.stack(list(grads[:2]), -1) / head.temperature


SMALL = 1 << 22
"""Size in bytes below which an allocator has memory that was touched before."""


def untouched(like: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return a contiguous tensor with undefined content on the device of `like`.

    On a CPU, numpy allocates the large ones, because it asks Linux for huge pages and torch does not.
    Touching 150 MiB for the first time took 20 ms with huge pages and 70 ms with pages of 4 KiB. A virtual
    machine that returns free memory to its host may take 100 to 300 ms with either; `overwrite` avoids the
    allocation.
    """
    bytes_ = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    if like.device.type != "cpu" or bytes_ < SMALL:
        return like.new_empty(shape, dtype=dtype)
    return torch.from_numpy(np.empty(bytes_, np.uint8)).view(dtype).view(shape)
