"""The Triton backend, for NVIDIA GPUs: the arithmetic around `aent.ops.backends.triton_launch`.

The kernels read logits in their own dtype, without a copy, and compute float32 statistics. torch computes a
softcap or a subset of your own on float32 copies of some rows at a time; the kernels do the rest.

No GPU has run this code yet: it has been tested in Triton's interpreter only. docs/gpu.md has the checks.
"""

import os
from collections.abc import Iterator
from types import ModuleType

import torch
from jaxtyping import Float, Int
from torch import Tensor

from aent.errors import InputError
from aent.ops.backend import Arithmetic
from aent.ops.closed_form import RowStats, slices, write_cut
from aent.ops.head import Head
from aent.subsets import Subset, cut_of, rule_of

CHUNK = 1 << 26
"""Elements in a chunk of logits of the linear door, and in a float32 copy."""

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def arithmetic(x: Tensor, subset: Subset, head: Head) -> Arithmetic:
    """Return this backend's arithmetic.

    Raises:
        InputError: on tensors not on a GPU, on float64, and without the package triton.
    """
    if not (x.is_cuda or os.environ.get("TRITON_INTERPRET") == "1"):
        raise InputError(
            f"this input is on {x.device}; the backend 'triton' works on CUDA tensors. Move it to a GPU,"
            " use backend='auto', or set TRITON_INTERPRET=1 before Python starts to try the kernels on"
            " a CPU, slowly."
        )
    if head.dtype not in DTYPES:
        raise InputError(
            f"the logits are {head.dtype}; the backend 'triton' takes {', '.join(map(str, DTYPES))}."
            " Convert the input, or use backend='chunked'."
        )
    try:
        import triton  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise InputError(
            "the backend 'triton' needs the package triton: `pip install triton`, or use backend='chunked'."
        ) from error
    return Triton(subset, head)


class Triton(Arithmetic):
    """NVIDIA GPUs; float32, bfloat16 and float16; any subset."""

    def chunk_rows(self, z: Tensor, vocab: int) -> int:
        """Return how many rows of logits the linear door computes at a time."""
        return CHUNK // vocab

    def measure(
        self, z: Float[Tensor, "rows vocab"], targets: Int[Tensor, " rows"], out: Float[Tensor, "rows 8"]
    ) -> None:
        """Fill `out` with the columns of `RowStats`."""
        launch, z, targets = _launch(), _in_rows(z), targets.contiguous()
        rule = rule_of(self.subset, z.shape[1])
        if rule.kind != "own" and self.head.softcap is None:
            launch.measure(z, targets, rule, self.head.temperature, out)
            return
        for rows, scaled, _ in self._scaled(z):
            if rule.kind == "own":
                write_cut(cut_of(self.subset, scaled), RowStats(*out[rows].split(1, -1)))
            launch.measure(scaled, targets[rows], rule, 1.0, out[rows])

    def differentiate(
        self,
        z: Float[Tensor, "rows vocab"],
        targets: Int[Tensor, " rows"],
        kept: Float[Tensor, "rows 6"],
        grads: Float[Tensor, "rows 2"],
        out: Float[Tensor, "rows vocab"],
    ) -> None:
        """Fill `out`, which may be `z`, with the gradient with respect to `z`."""
        launch, z, targets = _launch(), _in_rows(z), targets.contiguous()
        kept, grads = kept.contiguous(), grads.contiguous()
        if self.head.softcap is None and rule_of(self.subset, z.shape[1]).kind != "own":
            contiguous = _in_rows(out)
            launch.differentiate(z, targets, kept, grads, self.head.temperature, contiguous)
            if contiguous is not out:
                out.copy_(contiguous)
            return
        for rows, scaled, slope in self._scaled(z):
            launch.differentiate(scaled, targets[rows], kept[rows], grads[rows], 1.0, scaled)
            out[rows] = scaled if slope is None else scaled.mul_(slope)

    def _scaled(self, z: Tensor) -> Iterator[tuple[slice, Tensor, Tensor | None]]:
        """Yield some rows at a time in float32 after softcap and temperature, and the cap's derivative."""
        for rows in slices(len(z), max(1, CHUNK // z.shape[1])):
            scaled = z[rows].to(torch.float32, copy=True)
            slope = self.head.scale_(scaled)
            yield rows, scaled, slope


def _in_rows(x: Float[Tensor, "rows vocab"]) -> Float[Tensor, "rows vocab"]:
    """Return the tensor, or a copy of it if its rows are not contiguous."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _launch() -> ModuleType:
    from aent.ops.backends import triton_launch

    return triton_launch
