"""Entrocraft: only good or only bad completions while entropy is outside a band."""

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
    per_kept: bool = False,
) -> Method:
    """Keep only good completions while entropy is high: ``A <- max(A, 0) if H > high; min(A, 0) if H < low``.

    While it is low, only bad ones are kept; inside the band all are. The edges move in a straight line from
    `low` and `high` to `low_end` and `high_end` over `steps` updates of the controller, which should be the
    length of the training. A band that the entropy never leaves, such as ``low=low_end=0,
    high=high_end=100``, switches the method off.

    `per_kept` divides by the kept completions, as equation 5 of the paper does: outside the band, advantages
    are multiplied by the number of completions over that of the kept ones, of a micro-batch on all ranks. By
    default the host divides by all, as the authors' code does.

    Source: arXiv 2604.26326; bounds and schedule are as in the authors' code and script (8 completions per
    prompt). Outside the band, their code replaces GRPO's advantages with plain rewards of 1 and -1. Here the
    algorithm's own advantages stay, because the paper calls the method rejection sampling for any advantage
    estimator. H is that of the controller's last window.

    Raises:
        InputError: for low > high at either end, or steps < 1.
    """
    if steps < 1:
        raise InputError(f"steps={steps} must be at least 1: the updates of the whole training")

    def kept(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
        advantages = one_sided(tokens.advantages, tokens.coef)
        return (
            advantages * completions_per_kept(tokens, advantages) if per_kept and tokens.coef else advantages
        )

    return Method(
        name="entrocraft",
        token_advantages=kept,
        bonus=None,
        controller=Sides(low=low, high=high, low_end=low_end, high_end=high_end, steps=steps),
        paper=ENTROCRAFT,
    )


def one_sided(advantages: Float[Tensor, "batch tokens"], side: float) -> Float[Tensor, "batch tokens"]:
    """Return ``max(A, 0)`` for a side above 0, ``min(A, 0)`` for one below, A for side 0."""
    if side == 0:
        return advantages
    return advantages.clamp(min=0) if side > 0 else advantages.clamp(max=0)


def completions_per_kept(tokens: Tokens, advantages: Float[Tensor, "batch tokens"]) -> Float[Tensor, ""]:
    """Return the number of completions with tokens that count over that of those with an advantage left."""
    counted = tokens.mask.bool()
    left = ((advantages != 0) & counted).any(1)[counted.any(1)]
    everywhere = tokens.gather(left.float())
    return everywhere.numel() / everywhere.sum().clamp(min=1)
