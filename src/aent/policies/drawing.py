"""Drawing one token per row of probabilities on a CPU, many times faster than `torch.multinomial`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from jaxtyping import Float, Int
from torch import Tensor

LARGE = 1 << 15
"""Rows longer than this are drawn by `draw_one`. Policies from scratch have at most as many tokens, so their
random draws stay what they were."""


def draw_one(
    probabilities: Float[Tensor, "rows vocab"], generator: torch.Generator | None = None
) -> Int[Tensor, "rows 1"]:
    """Draw one token per row with one uniform number each: the first whose cumulative sum exceeds it.

    `torch.multinomial` draws an exponential for every token instead. Sums and uniforms are in float64: in
    float32, the sum would lose the many tokens below 3e-8, and the uniform could not land between them.
    """
    total = probabilities.double().cumsum(-1)
    uniform = torch.rand(len(total), 1, dtype=torch.float64, generator=generator)
    places = torch.searchsorted(total, uniform * total[:, -1:], right=True)
    return places.clamp_(max=total.shape[1] - 1)


@contextmanager
def fast_drawing() -> Iterator[None]:
    """Let `draw_one` stand in for `torch.multinomial` where one token per row of more than `LARGE` is drawn.

    For CPUs; everything else goes to `torch.multinomial`. The swap is global: do not generate in two
    threads of one process.
    """
    ordinary = torch.multinomial

    def multinomial(
        input: Tensor, num_samples: int, replacement: bool = False, *, generator: Any = None, out: Any = None
    ) -> Tensor:
        fast = num_samples == 1 and input.dim() == 2 and input.shape[1] > LARGE and out is None
        if fast and input.device.type == "cpu":
            return draw_one(input, generator)
        return ordinary(input, num_samples, replacement, generator=generator, out=out)

    with patch.object(torch, "multinomial", multinomial):
        yield
