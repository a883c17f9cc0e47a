"""The covariance of advantage and log-probability, which Clip-Cov and KL-Cov share."""

from jaxtyping import Float
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
    """Return each token's term in the covariance of advantage and log-probability, without gradient.

    ``cov_t = (A_t - mean A) (log pi_t - mean log pi)``, with means over the unmasked tokens of all ranks
    (arXiv 2505.22617, the summand of its estimate).
    """
    advantages, logp = tokens.advantages, tokens.logp.detach()
    return (advantages - tokens.everywhere(advantages).mean()) * (logp - tokens.everywhere(logp).mean())
