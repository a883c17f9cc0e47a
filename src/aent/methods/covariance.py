"""Methods that hold back the tokens whose log-probability and advantage vary together."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from aent.errors import InputError
from aent.methods.base import Method, Paper, Tokens
from aent.methods.checks import require_at_least, require_between
from aent.methods.clipping import clip_options, clipped

COVARIANCE = Paper(
    title="The Entropy Mechanism of Reinforcement Learning for Reasoning Language Models",
    arxiv="2505.22617",
    citation="""\
@article{cui2025entropy,
    title  = {{The Entropy Mechanism of Reinforcement Learning for Reasoning Language Models}},
    author = {Ganqu Cui and others},
    year   = 2025,
    eprint = {arXiv:2505.22617}
}""",
)


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


def covariance(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
    """Each token's share of the covariance of advantage and log-probability, without gradient.

    ``cov_t = (A_t - mean A) (log pi_t - mean log pi)`` (arXiv 2505.22617, the summand of its estimate), means
    over the tokens that count, of all ranks.
    """
    advantages, logp = tokens.advantages, tokens.logp.detach()
    return (advantages - tokens.everywhere(advantages).mean()) * (logp - tokens.everywhere(logp).mean())


def _count(tokens: Tokens, fraction: float) -> int:
    """How many of the tokens of all ranks a fraction is."""
    return max(1, int(fraction * tokens.everywhere(tokens.mask.float()).numel())) if fraction else 0


def _largest(
    tokens: Tokens,
    scores: Float[Tensor, "batch tokens"],
    eligible: Bool[Tensor, "batch tokens"],
    count: int,
) -> Bool[Tensor, "batch tokens"]:
    """Return the `count` eligible tokens of all ranks with the largest scores, none of those tied last."""
    everywhere = tokens.gather(scores[eligible].float())
    if everywhere.numel() <= count:
        return eligible
    return eligible & (scores > everywhere.topk(count + 1).values[-1])
