"""What a backend is: how it measures rows of logits, and how it differentiates them."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor

from aent.ops.head import Head
from aent.subsets import Subset


class Arithmetic(ABC):
    """The computation of one backend; `aent.ops.autograd` builds the doors around it.

    Rows of logits arrive as the output layer computes them, in its dtype, before the softcap and temperature
    of `head` are applied. Statistics are float32 (float64 for float64 logits).
    """

    def __init__(self, subset: Subset, head: Head) -> None:
        self.subset, self.head = subset, head

    @abstractmethod
    def chunk_rows(self, z: Tensor, vocab: int) -> int:
        """Return how many rows of logits the linear door computes at a time on the device of `z`."""

    @abstractmethod
    def measure(
        self, z: Float[Tensor, "rows vocab"], targets: Int[Tensor, " rows"], out: Float[Tensor, "rows 8"]
    ) -> None:
        """Fill `out` with the columns of `aent.ops.closed_form.RowStats`, without changing `z`."""

    @abstractmethod
    def differentiate(
        self,
        z: Float[Tensor, "rows vocab"],
        targets: Int[Tensor, " rows"],
        kept: Float[Tensor, "rows 6"],
        grads: Float[Tensor, "rows 2"],
        out: Float[Tensor, "rows vocab"],
    ) -> None:
        """Fill `out`, which may be `z`, with the gradient with respect to `z`.

        `kept` has the columns of `aent.ops.closed_form.Kept`. `grads` holds the gradients of (logp, entropy),
        already divided by the temperature.
        """

    def summed(self, grad_hidden: Float[Tensor, "rows dim"]) -> Float[Tensor, "rows dim"]:
        """Sum the gradient of the hidden states over the ranks that share the vocabulary, if any."""
        return grad_hidden


def statistics_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype of statistics of `x`: float32, or float64 for float64."""
    return torch.promote_types(x.dtype, torch.float32)
