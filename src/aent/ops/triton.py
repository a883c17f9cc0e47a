"""The Triton backend: the doors around `aent.ops.triton_launch`. For NVIDIA GPUs.

Logits are read in their own dtype, never copied; backward of the linear door writes over them.
Statistics are float32. A softcap, or a subset of your own, is computed by torch on float32 copies
of some rows at a time; the kernels do the rest.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from aent.errors import InputError
from aent.ops.head import Head, HeadGradients
from aent.ops.rows import RowStats
from aent.ops.stats import TokenStats
from aent.subsets import Fraction, Full, Subset, TopK, TopP

CHUNK = 1 << 26
"""Elements of a chunk of logits in the linear door, and of a float32 copy."""
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class Rule(NamedTuple):
    """What the forward kernel does about the cut."""

    kind: str
    """`none`; `count`: drop `dropped` tokens; `mass`: keep `mass`; `given`: it is in `stats`."""
    dropped: int = 0
    mass: float = 0.0


def token_stats(
    logits: Float[Tensor, "rows vocab"],
    targets: Int[Tensor, " rows"],
    subset: Subset,
    temperature: float,
) -> TokenStats:
    """See `aent.ops.token_stats` (nats).

    Raises:
        InputError: on tensors not on a GPU, on float64, and without the package triton.
    """
    _require("logits", logits, logits.dtype)
    return TokenStats(*_FromLogits.apply(logits, targets, subset, temperature))


def linear_token_stats(
    hidden: Float[Tensor, "rows dim"],
    weight: Float[Tensor, "vocab dim"],
    bias: Float[Tensor, " vocab"] | None,
    targets: Int[Tensor, " rows"],
    subset: Subset,
    temperature: float,
    softcap: float | None,
    gather: Callable[[], AbstractContextManager[object]],
) -> TokenStats:
    """See `aent.ops.linear_token_stats` (nats). Called inside `gather`; backward enters it anew.

    Raises:
        InputError: on tensors not on a GPU, on float64, and without the package triton.
    """
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    _require("hidden", hidden, dtype)
    head = Head(dtype, temperature, softcap, gather)
    return TokenStats(*_FromHidden.apply(hidden, weight, bias, targets, subset, head))


class _FromLogits(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, targets: Tensor, subset: Subset, temperature: float
    ) -> tuple[Tensor, ...]:
        ctx.subset, ctx.head = subset, Head(logits.dtype, temperature)
        logits = logits if logits.stride(-1) == 1 else logits.contiguous()
        targets = targets.contiguous()
        stats = _empty_stats(logits)
        with _no_autocast(logits):
            _measure(logits, targets, subset, ctx.head, stats)
        ctx.save_for_backward(logits, targets, stats)
        return _outputs(ctx, stats)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        logits, targets, stats = ctx.saved_tensors
        given = torch.stack(grads[:2], -1) / ctx.head.temperature
        grad = torch.empty_like(logits, memory_format=torch.contiguous_format)
        with _no_autocast(logits):
            _differentiate(logits, targets, stats, given, ctx.subset, ctx.head, grad)
        return grad, None, None, None


class _FromHidden(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        subset: Subset,
        head: Head,
    ) -> tuple[Tensor, ...]:
        ctx.subset, ctx.head = subset, head
        targets = targets.contiguous()
        stats = _empty_stats(hidden)
        with _no_autocast(hidden):
            h, w, b = head.cast(hidden, weight, bias)
            for rows, z in _chunks(h, len(w)):
                _measure(head.logits_(z, h[rows], w, b), targets[rows], subset, head, stats[rows])
        ctx.save_for_backward(hidden, weight, bias, targets, stats)
        return _outputs(ctx, stats)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets, stats = ctx.saved_tensors
        head: Head = ctx.head
        given = torch.stack(grads[:2], -1) / head.temperature
        with head.gather(), _no_autocast(hidden):
            made = HeadGradients(ctx.needs_input_grad, hidden, weight, bias, stats.dtype)
            h, w, b = head.cast(hidden, weight, bias)
            for rows, z in _chunks(h, len(w)):
                head.logits_(z, h[rows], w, b)
                _differentiate(z, targets[rows], stats[rows], given[rows], ctx.subset, head, z)
                made.add_(rows, z, h[rows], w)
            return *made.finish(hidden, weight, bias), None, None, None


def _measure(z: Tensor, targets: Tensor, subset: Subset, head: Head, stats: Tensor) -> None:
    """Fill `stats` from logits as the output layer makes them."""
    launch = _launch()
    rule = _rule(subset, z.shape[1])
    if rule is not None and head.softcap is None:
        launch.measure(z, targets, rule, head.temperature, stats)
        return
    for rows, scaled, _ in _scaled(z, head):
        known = rule or _cut_(scaled, subset, RowStats(*stats[rows].split(1, -1)))
        launch.measure(scaled, targets[rows], known, 1.0, stats[rows])


def _differentiate(
    z: Tensor, targets: Tensor, stats: Tensor, grads: Tensor, subset: Subset, head: Head, out: Tensor
) -> None:
    """Fill `out`, which may be `z`, with the gradient with respect to the logits `z`."""
    launch = _launch()
    if head.softcap is None and _rule(subset, z.shape[1]) is not None:
        launch.differentiate(z, targets, stats, grads, head.temperature, out)
        return
    for rows, scaled, slope in _scaled(z, head):
        launch.differentiate(scaled, targets[rows], stats[rows], grads[rows], 1.0, scaled)
        out[rows] = scaled if slope is None else scaled.mul_(slope)


def _rule(subset: Subset, vocab: int) -> Rule | None:
    """Return the rule of a subset that the kernels know."""
    if type(subset) is Fraction:
        dropped = int(subset.drop * vocab)
    elif type(subset) is TopK:
        dropped = max(vocab - subset.k, 0)
    elif type(subset) is TopP and subset.mass < 1:
        return Rule("mass", mass=subset.mass)
    elif type(subset) in (Full, TopP):
        dropped = 0
    else:
        return None
    return Rule("count", dropped) if dropped else Rule("none")


def _cut_(scaled: Tensor, subset: Subset, stats: RowStats) -> Rule:
    """Write the cut of a subset of the user's own where the kernel reads it."""
    cut = subset.cut(scaled)
    if cut is None:
        return Rule("none")
    stats.threshold.copy_(cut.threshold)
    stats.share.copy_(cut.share)
    return Rule("given")


def _scaled(z: Tensor, head: Head) -> Iterator[tuple[slice, Tensor, Tensor | None]]:
    """Give some rows at a time after softcap and temperature, in float32, and the softcap's slope."""
    for rows in _slices(*z.shape):
        scaled = z[rows].to(torch.float32, copy=True)
        slope = head.scale_(scaled)
        yield rows, scaled, slope


def _chunks(hidden: Tensor, vocab: int) -> Iterator[tuple[slice, Tensor]]:
    """Give some rows at a time, and room for their logits: the same room every time."""
    buffer = None
    for rows in _slices(len(hidden), vocab):
        length = rows.stop - rows.start
        buffer = hidden.new_empty(length, vocab) if buffer is None else buffer[:length]
        yield rows, buffer


def _slices(rows: int, vocab: int) -> Iterator[slice]:
    step = max(1, CHUNK // vocab)
    return (slice(i, min(i + step, rows)) for i in range(0, rows, step))


def _no_autocast(x: Tensor) -> torch.autocast:
    return torch.autocast(x.device.type, enabled=False)


def _empty_stats(x: Tensor) -> Tensor:
    return x.new_empty(len(x), len(RowStats._fields), dtype=torch.float32)


def _outputs(ctx: Any, stats: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    logp, entropy, full_entropy = (stats[:, i].clone() for i in range(3))
    ctx.mark_non_differentiable(full_entropy)
    return logp, entropy, full_entropy


def _launch() -> ModuleType:
    from aent.ops import triton_launch

    return triton_launch


def _require(name: str, x: Tensor, dtype: torch.dtype) -> None:
    if not (x.is_cuda or os.environ.get("TRITON_INTERPRET") == "1"):
        raise InputError(
            f"`{name}` is on {x.device}; the backend 'triton' works on CUDA tensors. Move it to a GPU,"
            " use backend='auto', or set TRITON_INTERPRET=1 before Python starts to try the kernels on"
            " a CPU, slowly."
        )
    if dtype not in DTYPES:
        raise InputError(
            f"`{name}` is {dtype}; the backend 'triton' takes {', '.join(map(str, DTYPES))}."
            " Convert it, or use backend='chunked'."
        )
    try:
        import triton  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise InputError(
            "the backend 'triton' needs the package triton: `pip install triton`, or use backend='chunked'."
        ) from error
