"""Drawing one token per row of probabilities on a CPU, many times faster than `torch.multinomial`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from aent.errors import InputError

LARGE = 1 << 9
"""Rows longer than this are drawn by `draw_one`; below, there is little to gain."""
BLOCK = 128
"""Tokens whose probabilities are summed in the dtype of the row, before the sums go on in float64."""

NOT_FINITE = (
    "the policy's probabilities of the next token hold NaN or infinity, or are all 0, so none can be "
    "drawn; look for the step at which its weights became NaN, and lower the learning rate."
)


def draw_one(
    probabilities: Float[Tensor, "rows vocab"], generator: torch.Generator | None = None
) -> Int[Tensor, "rows 1"]:
    """Draw one token per row with one uniform number each: the first whose cumulative sum exceeds it.

    `torch.multinomial` draws an exponential for every token instead. The cumulative sum is taken over blocks
    of `BLOCK` tokens, and then within one of them, in float64: a float32 sum over the row would lose the many
    tokens below 3e-8, and a float32 uniform could not land between them.

    Raises:
        InputError: if a row holds NaN or infinity, or sums to 0.
    """
    rows, vocab = probabilities.shape
    blocks = pad(probabilities, (0, -vocab % BLOCK)).view(rows, -1, BLOCK)
    sums = blocks.sum(-1).double()
    ends = sums.cumsum(-1)
    if not (ends[:, -1].isfinite() & (ends[:, -1] > 0)).all():
        raise InputError(NOT_FINITE)
    uniform = torch.rand(rows, 1, dtype=torch.float64, generator=generator) * ends[:, -1:]
    block = torch.searchsorted(ends, uniform, right=True).clamp_(max=ends.shape[1] - 1)
    share = (uniform - (ends - sums).gather(1, block)) / sums.gather(1, block)
    inside = blocks.take_along_dim(block[:, :, None], 1)[:, 0].double().cumsum(-1)
    place = torch.searchsorted(inside, share * inside[:, -1:], right=True).clamp_(max=BLOCK - 1)
    return block * BLOCK + place


@contextmanager
def fast_drawing() -> Iterator[None]:
    """Let `draw_one` stand in for `torch.multinomial` where one token per row of more than `LARGE` is drawn.

    For CPUs; everything else goes to `torch.multinomial`. The swap is global: do not generate in two
    threads of one process. On a CPU, probabilities that are not finite are an `InputError`.
    """
    ordinary = torch.multinomial

    def multinomial(
        input: Tensor, num_samples: int, replacement: bool = False, *, generator: Any = None, out: Any = None
    ) -> Tensor:
        fast = num_samples == 1 and input.dim() == 2 and input.shape[1] > LARGE and out is None
        if fast and input.device.type == "cpu":
            return draw_one(input, generator)
        try:
            return ordinary(input, num_samples, replacement, generator=generator, out=out)
        except RuntimeError as error:  # on a CPU; a GPU stops with an assertion of its own
            if "probability tensor" not in str(error):
                raise
            raise InputError(NOT_FINITE) from error

    with patch.object(torch, "multinomial", multinomial):
        yield
