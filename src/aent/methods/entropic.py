"""EntroPIC: PI control of a term on probable tokens."""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from aent.controllers import PI
from aent.errors import InputError
from aent.method import Method, Paper, Tokens

ENTROPIC = Paper(
    title="EntroPIC: Towards Stable Long-Term Training of LLMs via Entropy Stabilization with "
    "Proportional-Integral Control",
    arxiv="2511.15248",
    citation="""\
@article{yang2025entropic,
    title  = {{EntroPIC: Towards Stable Long-Term Training of LLMs via Entropy Stabilization with
               Proportional-Integral Control}},
    author = {Kai Yang and Xin Xu and Yangkun Chen and Weijie Liu and Jiafei Lyu and Zichuan Lin and
              Deheng Ye and Saiyong Yang},
    year   = 2025,
    eprint = {arXiv:2511.15248}
}""",
)


def entropic(*, target: float = 0.1, kp: float = 1.0, ki: float = 0.01, probability: float = 0.95) -> Method:
    """EntroPIC: PI control of a term that makes probable tokens less probable, or more.

    ``loss = policy_loss + a * mean(-r * abs(A)) over tokens with pi > probability; a = clip(kp * (H -
    target) + ki * sum(H - target), -1, 1)`` in nats, r the unclipped ratio, A the advantage.

    Below the target a is negative: probable tokens of rewarded completions count less, those of
    unrewarded ones more. The mean is over the probable tokens of a micro-batch; it is handed to the host
    spread over all tokens, so that a host that weighs completions by their length weighs it too.

    Source: arXiv 2511.15248; loss, threshold and defaults from the authors' code and script. There the
    proportional part sees the entropy of the very tokens it acts on, here that of the last window.
    """
    if not 0 <= probability < 1:
        raise InputError(f"probability={probability} must be at least 0 and below 1: pi must exceed it")
    return Method(
        name="entropic",
        penalty=partial(pull_of_probable, probability=probability),
        bonus=None,
        controller=PI(target=target, kp=kp, ki=ki),
        paper=ENTROPIC,
    )


def pull_of_probable(tokens: Tokens, *, probability: float) -> Float[Tensor, "batch tokens"]:
    """Return ``-coef * r * abs(A)`` at tokens with pi > probability, 0 elsewhere, scaled.

    The scale is the number of tokens over that of probable ones, so that the mean over all tokens is the
    mean over the probable ones.
    """
    probable = (tokens.logp.detach().exp() > probability) * tokens.mask
    scale = tokens.mask.sum() / torch.clamp(probable.sum(), min=1)
    return -tokens.coef * scale * probable * tokens.ratio * tokens.advantages.abs()
