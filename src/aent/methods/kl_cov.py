"""KL-Cov: the tokens of highest covariance are held to the policy that generated them."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from aent.method import Method, Tokens
from aent.methods.checks import require_at_least, require_between
from aent.methods.clipping import clip_options
from aent.methods.covariance import COVARIANCE, _count, _largest, covariance


def kl_cov(
    *, fraction: float = 2e-3, coef: float = 1.0, epsilon: float = 1.0, epsilon_high: float = math.inf
) -> Method:
    """The tokens of highest covariance are held to the policy that generated them.

    ``cov_t = (A_t - mean A) (log pi_t - mean log pi); loss_t = -r A + coef * abs(log r) for the fraction * N
    tokens with the largest cov_t, -r A for the others``, means over the N tokens of a micro-batch on all
    ranks, log pi and log r in nats. The number is rounded down, but at least 1; of tokens tied at the cut
    none is taken.

    At the first step on a batch of rollouts log r = 0, where abs has the gradient 0: the method acts from
    the second step on, so give the host ``num_iterations`` above 1 or several steps per generation.

    Source: arXiv 2505.22617 (KL-Cov); the defaults are those of the authors' script for 7B, theirs for 32B
    is ``kl_cov(fraction=2e-4)``. Their loss, as copied in verl, clips no ratio, hence the two edges here;
    with narrower ones a clipped token keeps the gradient of its penalty alone.

    Raises:
        InputError: if `fraction` is not in [0, 1], or `coef` or a clip is negative.
    """
    require_between("fraction", fraction, 0, 1)
    require_at_least("coef", coef, 0)

    def penalty(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
        chosen = _largest(tokens, covariance(tokens), tokens.mask.bool(), _count(tokens, fraction))
        return torch.where(chosen, coef * (tokens.logp - tokens.old_logp).abs(), 0.0)

    return Method(
        name="kl-cov",
        options=clip_options(epsilon, epsilon_high),
        penalty=penalty,
        paper=COVARIANCE,
    )
