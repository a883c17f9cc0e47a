"""BAPO: the clipping range moves until good tokens contribute as much as bad ones."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from aent.errors import InputError
from aent.method import Edge, Method, Paper, Tokens

BAPO = Paper(
    title="BAPO: Stabilizing Off-Policy Reinforcement Learning for LLMs via Balanced Policy Optimization "
    "with Adaptive Clipping",
    arxiv="2510.18927",
    citation="""\
@article{xi2025bapo,
    title  = {{BAPO: Stabilizing Off-Policy Reinforcement Learning for LLMs via Balanced Policy Optimization
              with Adaptive Clipping}},
    author = {Zhiheng Xi and others},
    year   = 2025,
    eprint = {arXiv:2510.18927}
}""",
)


def bapo(
    *,
    low: float = 0.6,
    low_end: float = 0.8,
    high: float = 1.2,
    high_end: float = 2.0,
    step: float = 0.05,
    balance: float = 1.0,
) -> Method:
    """Raise the bounds of the ratio until good tokens contribute enough: first the lower one, then the upper.

    ``c_low = low, low + step, ..., low_end, then c_high = high, high + step, ..., high_end, until sum_{A > 0}
    min(r, c_high) A >= balance * sum_{A < 0} max(r, c_low) |A|``; the ratio r of each token is then clipped
    to [c_low, c_high]. The sums are over the tokens of a micro-batch on all ranks.

    In the first step on a batch of rollouts every ratio is 1 and nothing is clipped. The method acts from
    the second step on: set the host's ``num_iterations`` above 1, or take several steps per generation.

    Source: BAPO (arXiv 2510.18927); search, step and ranges are as in the authors' code. Their page gives
    [0.6, 0.9] and [1.2, 3.0] as the ranges of the paper. Their code also caps the loss of a token with A < 0
    at 3 |A|, which is TRL's option ``delta=3``.

    Raises:
        InputError: unless 0 <= low <= low_end <= 1 <= high <= high_end, or if step <= 0 or balance < 0.
    """
    if not 0 <= low <= low_end <= 1 <= high <= high_end:
        raise InputError(
            f"low={low}, low_end={low_end}, high={high}, high_end={high_end} must satisfy "
            "0 <= low <= low_end <= 1 <= high <= high_end: they bound the ratio"
        )
    if not step > 0 or balance < 0:
        raise InputError(f"step={step} must be above 0 and balance={balance} at least 0")

    def edges(tokens: Tokens) -> tuple[Edge, Edge]:
        ratio, advantages = tokens.everywhere(tokens.ratio), tokens.everywhere(tokens.advantages)
        bounds = low, high
        for bounds in _bounds(low, low_end, high, high_end, step):
            good, bad = contributions(ratio, advantages, *bounds)
            if good >= balance * bad:
                break
        return 1 - bounds[0], bounds[1] - 1

    return Method(name="bapo", clip=edges, paper=BAPO)


def contributions(
    ratio: Float[Tensor, " n"], advantages: Float[Tensor, " n"], low: float, high: float
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return ``sum_{A > 0} min(r, high) A`` and ``sum_{A < 0} max(r, low) |A|``."""
    good = torch.where(advantages > 0, ratio.clamp(max=high) * advantages, 0.0).sum()
    bad = torch.where(advantages < 0, ratio.clamp(min=low) * -advantages, 0.0).sum()
    return good, bad


def _bounds(
    low: float, low_end: float, high: float, high_end: float, step: float
) -> Iterator[tuple[float, float]]:
    """Yield the pairs of bounds in the order of the search."""
    for lower in _grid(low, low_end, step):
        yield lower, high
    for upper in _grid(high, high_end, step):
        yield low_end, upper


def _grid(start: float, end: float, step: float) -> Iterator[float]:
    """Yield start, start + step, ... and end, which is the last however the steps fall."""
    number = 0
    while start + number * step < end - 1e-9:
        yield start + number * step
        number += 1
    yield end
