"""Forking tokens (80/20): only the most uncertain tokens get a policy gradient."""

from jaxtyping import Float
from torch import Tensor

from aent.method import Method, Paper, Tokens
from aent.methods.checks import require_between
from aent.methods.extremes import quantile

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
    """Give a policy gradient only to the most uncertain tokens, where a text forks.

    ``A_t <- A_t where H_t >= quantile(H, 1 - fraction), 0 elsewhere``, with H in nats under the policy being
    trained and the quantile over the tokens of a micro-batch on all ranks.

    Source: 80/20 (arXiv 2506.01939), whose recipe is DAPO with clip-higher. It equals TRL's option
    ``top_entropy_quantile``, and also works with one ratio per completion: there, a token that is left out
    still counts in the ratio, but gets no gradient.

    Raises:
        InputError: if `fraction` is not in [0, 1].
    """
    require_between("fraction", fraction, 0, 1)

    def token_advantages(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
        everywhere = tokens.everywhere(tokens.entropy)
        if everywhere.numel() == 0:
            return tokens.advantages
        return tokens.advantages * (tokens.entropy >= quantile(everywhere, 1 - fraction))

    return Method(name="forking-tokens", token_advantages=token_advantages, paper=FORKING)
