"""The covariance of advantage and log-probability that Clip-Cov and KL-Cov share."""

from jaxtyping import Bool, Float
from torch import Tensor

from aent.method import Paper, Tokens

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
