"""Clip_B: bad tokens whose suppression lowers the entropy most get no policy gradient."""

from jaxtyping import Float
from torch import Tensor

from aent.method import Method, Paper, Tokens
from aent.methods.checks import require_at_least

DYNAMICS = Paper(
    title="On the Entropy Dynamics in Reinforcement Fine-Tuning of Large Language Models",
    arxiv="2602.03392",
    citation="""\
@article{wang2026entropy,
    title  = {{On the Entropy Dynamics in Reinforcement Fine-Tuning of Large Language Models}},
    author = {Shumin Wang and Yuexiang Xie and Wenhao Zhang and Yuchang Sun and Yanxi Chen and Yaliang Li
              and Yanyong Zhang},
    year   = 2026,
    eprint = {arXiv:2602.03392}
}""",
)


def clip_b(*, deviations: float = 2.5) -> Method:
    """Leave out bad tokens whose suppression lowers the entropy most, compared with the batch.

    ``A_t <- 0 where A_t < 0 and S_t - mean S < -deviations * std S; S = pi (log pi + H)``, with log pi and H
    in nats under the policy being trained and H over the whole vocabulary. Mean and standard deviation
    (divided by n - 1) are over the n tokens of a micro-batch on all ranks. To first order, a step that
    raises the logit of a token alone changes the entropy by -S.

    Source: Clip_B (arXiv 2602.03392), with its threshold.

    Raises:
        InputError: if `deviations` is negative or not finite.
    """
    require_at_least("deviations", deviations, 0)

    def token_advantages(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
        score = discriminator(tokens)
        everywhere = tokens.everywhere(score)
        if everywhere.numel() < 2:
            return tokens.advantages
        dropped = (tokens.advantages < 0) & (score - everywhere.mean() < -deviations * everywhere.std())
        return tokens.advantages.masked_fill(dropped, 0.0)

    return Method(name="clip-b", token_advantages=token_advantages, paper=DYNAMICS)


def discriminator(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
    """Return ``S = pi (log pi + H)``, which is -dH/dz at the logit of the token itself; without gradient."""
    logp = tokens.logp.detach()
    return logp.exp() * (logp + tokens.full_entropy)
