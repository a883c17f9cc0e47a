"""STEER: tokens that are expected to change the entropy more weigh less."""

import torch
from jaxtyping import Float
from torch import Tensor

from aent.errors import InputError
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
    weight_max: float | None = None,
    floor: float = 0.0,
    epsilon: float = 0.2,
    epsilon_high: float = 0.28,
) -> Method:
    """Weigh a token less, the more it is expected to change the entropy.

    ``w_t = exp(-alpha |Omega_t| / max |Omega|); loss_t = w_t * clipped loss; Omega = A / pi_old * pi (1 - pi)
    (log pi + H); alpha = -log(weight_min)``, where pi and pi_old are the probabilities of the token and H is
    the entropy over the whole vocabulary in nats. Both pi and H are under the policy being trained, and the
    maximum is over the tokens of a micro-batch on all ranks, at least `floor`. So weights lie between
    `weight_min` and 1.

    With `weight_max`, weights fall in a straight line instead, ``w_t = weight_max - (weight_max - weight_min)
    (|Omega_t| - min) / (max - min)``; if all changes are equal, w_t is the middle.

    Source: STEER (arXiv 2510.10150, version 4) for the exponential weight, with the 0.8 of the authors'
    exponential script, which has a floor of 0.02 (``steer(floor=0.02)``); their linear script is
    ``steer(weight_max=1.2)``. There the extremes are those of each rank alone, and probabilities are held
    above 1e-8. The scripts also cap the loss of a token at 10 |A|, which is TRL's option ``delta=10``.

    Raises:
        InputError: unless 0 < weight_min <= 1 (with `weight_max`: 0 <= weight_min <= weight_max), or if the
            floor or a clip is negative.
    """
    if weight_max is None and not 0 < weight_min <= 1:
        raise InputError(f"weight_min={weight_min} must be above 0 and at most 1; 1 switches the method off")
    require_at_least("weight_min", weight_min, 0)
    require_at_least("floor", floor, 0)
    if weight_max is not None:
        require_at_least("weight_max", weight_max, weight_min)

    def token_advantages(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
        change = entropy_change(tokens)
        everywhere = tokens.everywhere(change)
        if everywhere.numel() == 0:
            return tokens.advantages
        least, most = everywhere.min(), everywhere.max()
        if weight_max is None:
            share = torch.where(most > 0, change / most.clamp(min=floor), 0.0)
            return tokens.advantages * weight_min**share
        share = torch.where(most > least, (change - least) / (most - least), 0.5)
        return tokens.advantages * (weight_max - (weight_max - weight_min) * share)

    return Method(
        name="steer",
        options=clip_options(epsilon, epsilon_high),
        token_advantages=token_advantages,
        paper=STEER,
    )


def entropy_change(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
    """Return |Omega|: the estimated change of a token's entropy by a step on it, up to the step's size.

    ``abs(A / pi_old * pi (1 - pi) (log pi + H))`` (arXiv 2510.10150), without gradient.
    """
    logp = tokens.logp.detach()
    return (
        tokens.advantages * tokens.ratio.detach() * -torch.expm1(logp) * (logp + tokens.full_entropy)
    ).abs()
