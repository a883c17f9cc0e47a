"""Forking tokens (80/20): only the most uncertain tokens carry the policy gradient."""

from jaxtyping import Float
from torch import Tensor

from aent.method import Method, Paper, Tokens
from aent.methods.checks import require_between

FORKING = Paper(
    title="Beyond the 80/20 Rule: High-Entropy Minority Tokens Drive Effective Reinforcement Learning for "
    "LLM Reasoning",
    arxiv="2506.01939",
    citation="""\
@inproceedings{wang2025beyond,
    title     = {{Beyond the 80/20 Rule: High-Entropy Minority Tokens Drive Effective Reinforcement Learning
                 for LLM Reasoning}},
    author    = {Shenzhi Wang and others},
    year      = 2025,
    booktitle = {NeurIPS},
    eprint    = {arXiv:2506.01939}
}""",
)


def forking_tokens(*, fraction: float = 0.2) -> Method:
    """Only the most uncertain tokens, where a text forks, carry the policy gradient.

    ``A_t <- A_t where H_t >= quantile(H, 1 - fraction), 0 elsewhere``, H in nats under the policy that is
    trained, quantile over the tokens of a micro-batch on all ranks.

    Source: 80/20 (arXiv 2506.01939), whose recipe is DAPO with clip-higher. The same as TRL's option
    ``top_entropy_quantile``, and for algorithms with one ratio per completion too: there a token that is
    left out still counts in the ratio, but gets no gradient.

    Raises:
        InputError: if `fraction` is not in [0, 1].
    """
    require_between("fraction", fraction, 0, 1)

    def token_advantages(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
        everywhere = tokens.everywhere(tokens.entropy)
        if everywhere.numel() == 0:
            return tokens.advantages
        return tokens.advantages * (tokens.entropy >= everywhere.quantile(1 - fraction))

    return Method(name="forking-tokens", token_advantages=token_advantages, paper=FORKING)
