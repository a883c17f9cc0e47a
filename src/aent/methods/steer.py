"""STEER: tokens that are expected to change the entropy weigh less."""

import torch
from jaxtyping import Float
from torch import Tensor

from aent.method import Method, Paper, Tokens
from aent.methods.checks import require_at_least
from aent.methods.clipping import clip_options

STEER = Paper(
    title="Rethinking Entropy Interventions in RLVR: An Entropy Change Perspective",
    arxiv="2510.10150",
    citation="""\
@article{hao2025rethinking,
    title  = {{Rethinking Entropy Interventions in RLVR: An Entropy Change Perspective}},
    author = {Zhezheng Hao and Hong Wang and Haoyang Liu and Jian Luo and Jiarui Yu and Hande Dong
              and Qiang Lin and Can Wang and Jiawei Chen},
    year   = 2025,
    eprint = {arXiv:2510.10150}
}""",
)


def steer(
    *,
    weight_min: float = 0.8,
    weight_max: float = 1.2,
    epsilon: float = 0.2,
    epsilon_high: float = 0.28,
) -> Method:
    """The more a token is expected to change the entropy, the less it weighs.

    ``change_t = abs(A / pi_old * pi (1 - pi) (log pi + H)); loss_t = w_t * clipped loss, w_t = weight_max -
    (weight_max - weight_min) (change_t - min change) / (max change - min change)``, pi and pi_old the
    probabilities of the token, H in nats, both under the policy that is trained; extremes over the tokens of
    a micro-batch on all ranks. Where all changes are equal, w_t is the middle of the band.

    Source: STEER (arXiv 2510.10150), the linear map of the authors' code and the values of its script. There
    the extremes are those of each rank alone, and probabilities are held above 1e-8. Their script also holds
    the loss of a token below 10 |A|, which is TRL's option ``delta=10``; their exponential map is left out.

    Raises:
        InputError: unless 0 <= weight_min <= weight_max, or if a clip is negative.
    """
    require_at_least("weight_min", weight_min, 0)
    require_at_least("weight_max", weight_max, weight_min)

    def token_advantages(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
        change = entropy_change(tokens)
        everywhere = tokens.everywhere(change)
        if everywhere.numel() == 0:
            return tokens.advantages
        least, most = everywhere.min(), everywhere.max()
        share = torch.where(most > least, (change - least) / (most - least), 0.5)
        return tokens.advantages * (weight_max - (weight_max - weight_min) * share)

    return Method(
        name="steer",
        options=clip_options(epsilon, epsilon_high),
        token_advantages=token_advantages,
        paper=STEER,
    )


def entropy_change(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
    """How much a step on each token alone is estimated to change its entropy, up to the step's size.

    ``abs(A / pi_old * pi (1 - pi) (log pi + H))`` (arXiv 2510.10150), without gradient.
    """
    logp = tokens.logp.detach()
    return (tokens.advantages * tokens.ratio.detach() * -torch.expm1(logp) * (logp + tokens.entropy)).abs()
