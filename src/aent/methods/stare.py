"""STARE: the most surprising tokens get another weight while entropy is low."""

import torch
from jaxtyping import Float
from torch import Tensor

from aent.controllers import Gate
from aent.errors import InputError
from aent.method import Method, Paper, Tokens
from aent.methods.extremes import largest_share

STARE = Paper(
    title="STARE: Surprisal-Guided Token-Level Advantage Reweighting for Policy Entropy Stability",
    arxiv="2606.19236",
    citation="""\
@article{luo2026stare,
    title  = {{STARE: Surprisal-Guided Token-Level Advantage Reweighting for Policy Entropy Stability}},
    author = {Haipeng Luo and Qingfeng Sun and Songli Wu and others},
    year   = 2026,
    eprint = {arXiv:2606.19236}
}""",
)


def stare(
    *, weight: float = 1.1, negative_weight: float = 1.0, top: float = 0.1, target: float = 0.3
) -> Method:
    """Reweight the most surprising tokens while entropy is low: ``A_t <- w_t * A_t if H < target``.

    w_t is `weight` for the share `top` of the tokens with positive advantage that have the largest surprisal
    -log pi, `negative_weight` for the same share of those with negative advantage, and 1 elsewhere.
    Reinforcing rare tokens of good completions raises entropy; suppressing those of bad ones lowers it.
    ``weight=1`` (with the default `negative_weight`) switches the method off.

    Source: arXiv 2606.19236. The groups, ``ceil(top * n)`` tokens of each, and the defaults (its variant O1
    for 7B models) are as in the authors' code. Variant C2 is ``negative_weight=0.9``; for 14B and 32B the
    authors give 1.05 and 0.95. Here, the most surprising tokens are those of a micro-batch on all ranks
    (there: of one rank), with all that tie at the edge. H is that of the controller's last window (there: of
    the batch itself), so the first window is left alone. Their script also clips the ratio at 0.2 and 0.28
    and has a clip ratio c of 10 (TRL's ``epsilon``, ``epsilon_high`` and ``delta``). For their adaptive
    weights see stare-adaptive.

    Raises:
        InputError: for a negative weight, or `top` outside (0, 1].
    """
    require_share(top)
    if weight < 0 or negative_weight < 0:
        raise InputError(
            f"weight={weight} and negative_weight={negative_weight} must be at least 0; weight=1 switches "
            "the method off"
        )

    def shaped(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
        if tokens.coef == 0:
            return tokens.advantages
        return tokens.advantages * surprisal_weights(tokens, weight, negative_weight, top)

    return Method(
        name="stare",
        token_advantages=shaped,
        bonus=None,
        controller=Gate(target=target),
        paper=STARE,
    )


def require_share(top: float) -> None:
    """Raise `InputError` unless 0 < top <= 1."""
    if not 0 < top <= 1:
        raise InputError(f"top={top} must be above 0 and at most 1 (0.1 for a tenth)")


def surprisal_weights(
    tokens: Tokens, positive: float, negative: float, top: float
) -> Float[Tensor, "batch tokens"]:
    """Return STARE's weights: those given for the most surprising tokens of either sign, 1 elsewhere."""
    counts, surprisal = tokens.mask.bool(), -tokens.logp.float()
    rare_good = largest_share(tokens, surprisal, counts & (tokens.advantages > 0), top)
    rare_bad = largest_share(tokens, surprisal, counts & (tokens.advantages < 0), top)
    return torch.ones_like(surprisal).masked_fill(rare_good, positive).masked_fill(rare_bad, negative)
