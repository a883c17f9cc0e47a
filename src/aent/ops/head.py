"""The output layer: logits of a few rows, and gradients with respect to its inputs."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from aent.ops.closed_form import slices

TILE = 1 << 22
"""Elements of a product that are added at a time when gradients are summed in another dtype."""


class Head(NamedTuple):
    """How logits are computed, apart from the weights."""

    dtype: torch.dtype
    """The dtype of the logits."""
    temperature: float = 1.0
    softcap: float | None = None
    gather: Callable[[], AbstractContextManager[object]] = nullcontext

    def cast(self, *tensors: Tensor | None) -> list[Any]:
        """Convert tensors to the dtype in which products are computed.

        This is the dtype of the logits, or float32 on a CPU that would have to emulate it. Factors and
        products are then still rounded to the dtype of the logits, as they are elsewhere.
        """
        dtype = torch.float32 if _emulated(tensors[0], self.dtype) else self.dtype
        return [None if x is None else x.to(self.dtype).to(dtype) for x in tensors]

    def logits_(
        self,
        out: Float[Tensor, "rows vocab"],
        hidden: Float[Tensor, "rows dim"],
        weight: Float[Tensor, "vocab dim"],
        bias: Float[Tensor, " vocab"] | None,
    ) -> Float[Tensor, "rows vocab"]:
        """Fill `out` with logits, before softcap and temperature."""
        if out.dtype != hidden.dtype:
            return out.copy_(torch.nn.functional.linear(hidden, weight, bias))
        if bias is None:
            return torch.mm(hidden, weight.t(), out=out)
        return torch.addmm(bias, hidden, weight.t(), out=out)

    def scale_(self, z: Float[Tensor, "rows vocab"]) -> Float[Tensor, "rows vocab"] | None:
        """Apply softcap and temperature in place; return the derivative of the softcap, if there is one."""
        slope = None
        if self.softcap is not None:
            z.div_(self.softcap).tanh_()
            slope = 1 - z.square()
            z.mul_(self.softcap)
        if self.temperature != 1:
            z.div_(self.temperature)
        return slope


def _emulated(x: Tensor | None, dtype: torch.dtype) -> bool:
    """Tell whether this CPU lacks products in a dtype, and would compute them in float32, slowly."""
    if x is None or x.device.type != "cpu":
        return False
    native = {
        torch.bfloat16: torch.cpu._is_avx512_bf16_supported,  # pyright: ignore[reportPrivateUsage]
        torch.float16: torch.cpu._is_amx_fp16_supported,  # pyright: ignore[reportPrivateUsage]
    }
    return dtype in native and not native[dtype]()


class HeadGradients:
    """Gradients of hidden states, weight and bias; None for those not needed.

    Several chunks are summed in `dtype`, because sums of rounded numbers would drift.
    """

    def __init__(
        self,
        needed: Sequence[bool],
        hidden: Float[Tensor, "rows dim"],
        weight: Float[Tensor, "vocab dim"],
        bias: Float[Tensor, " vocab"] | None,
        dtype: torch.dtype,
    ) -> None:
        self.hidden = torch.empty_like(hidden) if needed[0] else None
        self.weight = torch.zeros_like(weight, dtype=dtype) if needed[1] else None
        self.bias = None if bias is None or not needed[2] else torch.zeros_like(bias, dtype=dtype)

    def add_(
        self,
        rows: slice,
        grad: Float[Tensor, "chunk vocab"],
        hidden: Float[Tensor, "chunk dim"],
        weight: Float[Tensor, "vocab dim"],
    ) -> None:
        """Add what the gradient with respect to the logits of some rows contributes."""
        if self.bias is not None:
            self.bias.add_(grad.sum(0, dtype=self.bias.dtype))
        g = grad.to(hidden.dtype)
        if self.hidden is not None:
            self.hidden[rows] = g @ weight
        if self.weight is not None:
            _add_product_(self.weight, g.t(), hidden)

    def finish(self, *like: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradients in the dtypes of the tensors they belong to."""
        pairs = zip((self.hidden, self.weight, self.bias), like, strict=True)
        return tuple(None if g is None or x is None else g.to(x.dtype) for g, x in pairs)


def _add_product_(total: Tensor, a: Tensor, b: Tensor) -> None:
    if total.dtype == a.dtype:
        total.addmm_(a, b)
        return
    for part in slices(len(total), max(1, TILE // b.shape[1])):
        total[part].add_(a[part] @ b)
