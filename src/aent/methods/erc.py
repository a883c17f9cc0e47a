"""ERC: tokens at which the entropy has changed too much since the rollout get no policy gradient."""

from jaxtyping import Float
from torch import Tensor

from aent.errors import InputError
from aent.method import Method, Paper, Tokens
from aent.methods.clipping import clip_options

ERC = Paper(
    title="Entropy Ratio Clipping as a Soft Global Constraint for Stable Reinforcement Learning",
    arxiv="2512.05591",
    citation="""\
@article{su2025entropy,
    title  = {{Entropy Ratio Clipping as a Soft Global Constraint for Stable Reinforcement Learning}},
    author = {Zhenpeng Su and Leiyu Pan and Minxuan Lv and Tiehua Mei and Zijia Lin and Yuntao Li and
              Wenping Hu and Ruiming Tang and Kun Gai and Guorui Zhou},
    year   = 2025,
    eprint = {arXiv:2512.05591}
}""",
)
SMALL = 1e-8
"""Added to both entropies (nats), as in the authors' code, so that two entropies of 0 have the ratio 1."""


def erc(*, low: float = 0.95, high: float = 1.05, epsilon: float = 0.2, epsilon_high: float = 0.28) -> Method:
    """Take the policy gradient from tokens at which the entropy has changed too much since the rollout.

    ``A_t <- A_t where low < H_t / H_old_t < high, else 0``. H is the entropy over the whole vocabulary under
    the policy being trained, H_old that under the policy in the denominator of the importance ratio.

    In the first step on a batch of rollouts the two are the same. The method acts from the second step on:
    set the host's ``num_iterations`` above 1, or take several steps per generation.

    Source: ERC (arXiv 2512.05591); band and clipping range are those of the authors' script for DAPO. It also
    caps the loss of a token with A < 0 (clip ratio c), which is TRL's option ``delta``.

    Raises:
        InputError: unless 0 <= low < 1 < high, or if a clip is negative.
    """
    if not 0 <= low < 1 < high:
        raise InputError(f"low={low} and high={high} must satisfy 0 <= low < 1 < high: 1 is no change")

    def token_advantages(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
        if tokens.old_entropy is None:
            return tokens.advantages
        change = (tokens.full_entropy + SMALL) / (tokens.old_entropy + SMALL)
        return tokens.advantages * ((change > low) & (change < high))

    return Method(
        name="erc",
        options=clip_options(epsilon, epsilon_high),
        token_advantages=token_advantages,
        needs_old_entropy=True,
        paper=ERC,
    )
