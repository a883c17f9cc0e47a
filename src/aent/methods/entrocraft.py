"""Entrocraft: one-sided advantages outside a band of entropy."""

from jaxtyping import Float
from torch import Tensor

from aent.controllers import Sides
from aent.errors import InputError
from aent.method import Method, Paper, Tokens

ENTROCRAFT = Paper(
    title="Addressing Performance Saturation for LLM RL via Precise Entropy Curve Control",
    arxiv="2604.26326",
    citation="""\
@article{li2026addressing,
    title  = {{Addressing Performance Saturation for LLM RL via Precise Entropy Curve Control}},
    author = {Bolian Li and Yifan Wang and Yi Ding and Anamika Lochab and Ananth Grama and Ruqi Zhang},
    year   = 2026,
    eprint = {arXiv:2604.26326}
}""",
)


def entrocraft(
    *,
    steps: int,
    low: float = 0.6,
    high: float = 0.7,
    low_end: float = 0.4,
    high_end: float = 0.5,
) -> Method:
    """Only good completions while entropy is high: ``A <- max(A, 0) if H > high; min(A, 0) if H < low``.

    And only bad ones while it is low; inside the band all count. The edges
    move in a straight line from `low` and `high` to `low_end` and `high_end` over `steps` updates of the
    controller: the length of the training. A band that no entropy leaves, such as ``low=low_end=0,
    high=high_end=100``, switches the method off.

    Source: arXiv 2604.26326; bounds and schedule as in the authors' code and script (8 completions a
    prompt). Their code puts the plain rewards of 1 and -1 in the place of GRPO's advantages outside the
    band; here the algorithm's own advantages stay, as the paper calls it rejection sampling for any
    advantage estimator. H is that of the controller's last window.

    Raises:
        InputError: for low > high at either end, or steps < 1.
    """
    if steps < 1:
        raise InputError(f"steps={steps} must be at least 1: the updates of the whole training")

    def kept(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
        return one_sided(tokens.advantages, tokens.coef)

    return Method(
        name="entrocraft",
        token_advantages=kept,
        bonus=None,
        controller=Sides(low=low, high=high, low_end=low_end, high_end=high_end, steps=steps),
        paper=ENTROCRAFT,
    )


def one_sided(advantages: Float[Tensor, "batch tokens"], side: float) -> Float[Tensor, "batch tokens"]:
    """``max(A, 0)`` for a side above 0, ``min(A, 0)`` for one below, A for side 0."""
    if side == 0:
        return advantages
    return advantages.clamp(min=0) if side > 0 else advantages.clamp(max=0)
