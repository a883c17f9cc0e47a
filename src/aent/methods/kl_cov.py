"""KL-Cov: the tokens of highest covariance stay close to the policy that generated them."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from aent.method import Method, Tokens
from aent.methods.checks import require_at_least, require_between
from aent.methods.clipping import clip_options
from aent.methods.covariance import COVARIANCE, covariance
from aent.methods.extremes import at_most, largest


def kl_cov(
    *, fraction: float = 2e-3, coef: float = 1.0, epsilon: float = 1.0, epsilon_high: float = math.inf
) -> Method:
    """Hold the tokens of highest covariance to the policy that generated them.

    ``cov_t = (A_t - mean A) (log pi_t - mean log pi); loss_t = -r A + coef * abs(log r) for the fraction * N
    tokens with the largest cov_t, -r A for the others``, with means over the N tokens of a micro-batch on
    all ranks, log pi and log r in nats. The number of tokens is rounded down, but is at least 1. Tokens
    that tie at the cut are left out.

    In the first step on a batch of rollouts log r = 0, where the gradient of abs is 0. The method therefore
    acts from the second step on: set the host's ``num_iterations`` above 1, or take several steps per
    generation.

    Source: arXiv 2505.22617 (KL-Cov). The defaults are those of the authors' script for 7B; their script
    for 32B is ``kl_cov(fraction=2e-4)``. Their loss, as copied in verl, does not clip the ratio, hence the
    two edges here. With a narrower range, a clipped token keeps only the gradient of its penalty.

    Raises:
        InputError: if `fraction` is not in [0, 1], or `coef` or a clip is negative.
    """
    require_between("fraction", fraction, 0, 1)
    require_at_least("coef", coef, 0)

    def penalty(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
        count = at_most(fraction, tokens.everywhere(tokens.mask).numel())
        held = largest(tokens, covariance(tokens), tokens.mask.bool(), count)
        return torch.where(held, coef * (tokens.logp - tokens.old_logp).abs(), 0.0)

    return Method(
        name="kl-cov",
        options=clip_options(epsilon, epsilon_high),
        penalty=penalty,
        paper=COVARIANCE,
    )
