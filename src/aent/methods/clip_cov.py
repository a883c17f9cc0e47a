"""Clip-Cov: a few tokens of high covariance get no policy gradient."""

import torch
from jaxtyping import Float
from torch import Tensor

from aent.errors import InputError
from aent.method import Method, Tokens
from aent.methods.checks import require_between
from aent.methods.clipping import clip_options, clipped
from aent.methods.covariance import COVARIANCE, _count, _largest, covariance


def clip_cov(
    *,
    fraction: float = 2e-4,
    low: float = 1.0,
    high: float = 5.0,
    epsilon: float = 1.0,
    epsilon_high: float = 1.0,
) -> Method:
    """A few tokens of high covariance, drawn at random, get no policy gradient.

    ``cov_t = (A_t - mean A) (log pi_t - mean log pi); loss_t = 0 for fraction * N of the tokens with low <
    cov_t < high, chosen at random``, means over the N tokens of a micro-batch on all ranks, log pi in nats
    under the policy that is trained. The number is rounded down, but at least 1; tokens that the host clips
    already are not drawn.

    Source: arXiv 2505.22617 (Clip-Cov); defaults of the authors' scripts, the wide clipping too. Rounding
    and draw follow the copy of their loss in verl, which takes the means on each rank alone. Draws come
    from torch's generator, whose state is in every checkpoint.

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
        drawn = _largest(tokens, lots, eligible, _count(tokens, fraction))
        return tokens.advantages.masked_fill(drawn, 0.0)

    return Method(
        name="clip-cov",
        options=clip_options(epsilon, epsilon_high),
        token_advantages=token_advantages if fraction else None,
        paper=COVARIANCE,
    )
