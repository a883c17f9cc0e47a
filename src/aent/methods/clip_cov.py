"""Clip-Cov: a few tokens of high covariance get no policy gradient."""

import torch
from jaxtyping import Float
from torch import Tensor

from aent.errors import InputError
from aent.method import Method, Tokens
from aent.methods.checks import require_between
from aent.methods.clipping import clip_options, clipped
from aent.methods.covariance import COVARIANCE, covariance
from aent.methods.extremes import at_most, largest


def clip_cov(
    *,
    fraction: float = 2e-4,
    low: float = 1.0,
    high: float = 5.0,
    epsilon: float = 1.0,
    epsilon_high: float = 1.0,
) -> Method:
    """Take the policy gradient from a few random tokens of high covariance.

    ``cov_t = (A_t - mean A) (log pi_t - mean log pi); loss_t = 0 for fraction * N of the tokens with low <
    cov_t < high, chosen at random``, with means over the N tokens of a micro-batch on all ranks and log pi
    in nats under the policy being trained. The number of tokens is rounded down, but is at least 1. Tokens
    that the host clips anyway are not drawn.

    Source: arXiv 2505.22617 (Clip-Cov). The defaults, including the wide clipping range, are those of the
    authors' scripts. Rounding and drawing follow the copy of their loss in verl, which computes the means
    on each rank separately. The draws come from torch's generator, whose state is in every checkpoint.

    Raises:
        InputError: if `fraction` is not in [0, 1], low >= high, or a clip is negative.
    """
    require_between("fraction", fraction, 0, 1)
    if not low < high:
        raise InputError(f"low={low} must be below high={high}: covariances between the two are drawn from")

    def token_advantages(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
        cov = covariance(tokens)
        at_low, at_high = clipped(tokens)
        eligible = (cov > low) & (cov < high) & ~(at_low | at_high) & tokens.mask.bool()
        lots = torch.rand(cov.shape, device=cov.device)
        count = at_most(fraction, tokens.everywhere(tokens.mask).numel())
        return tokens.advantages.masked_fill(largest(tokens, lots, eligible, count), 0.0)

    return Method(
        name="clip-cov",
        options=clip_options(epsilon, epsilon_high),
        token_advantages=token_advantages if fraction else None,
        paper=COVARIANCE,
    )
