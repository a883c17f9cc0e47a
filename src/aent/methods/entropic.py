"""EntroPIC: PI control of a loss term on probable tokens."""

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
    """Make probable tokens more or less probable, with a strength under PI control.

    ``loss = policy_loss + a * mean(-r * abs(A)) over tokens with pi > probability; a = clip(kp * (H -
    target) + ki * sum(H - target), -1, 1)`` in nats, with r the unclipped ratio and A the advantage.

    Below the target, a is negative: probable tokens of rewarded completions count less, those of
    unrewarded ones more. The mean is over the probable tokens of a micro-batch. The host receives it
    spread over all tokens, so a host that weights completions by their length weights this term too.

    Source: arXiv 2511.15248; loss, threshold and defaults are from the authors' code and script. There, the
    proportional part uses the entropy of the same tokens it acts on; here, that of the last window.

    Raises:
        InputError: for a probability outside [0, 1).
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
    """Return ``-coef * r * abs(A) * N / n`` at the n tokens of N with pi > probability, 0 elsewhere.

    With the factor N / n, the mean over all tokens is the mean over the probable ones.
    """
    probable = (tokens.logp.detach().exp() > probability) * tokens.mask
    scale = tokens.mask.sum() / torch.clamp(probable.sum(), min=1)
    return -tokens.coef * scale * probable * tokens.ratio * tokens.advantages.abs()
