"""STARE: other weight on the most surprising tokens."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from aent.controllers import Gate
from aent.errors import InputError
from aent.method import Method, Paper, Tokens

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
    """Other weight on the most surprising tokens, while entropy is low: ``A_t <- w_t * A_t if H < target``.

    w_t is `weight` for the share `top` with the largest surprisal -log pi among the tokens of positive
    advantage, `negative_weight` for the same share among those of negative advantage, and 1 elsewhere:
    raising rare tokens of good completions raises entropy, suppressing those of bad ones lowers it.
    ``weight=1`` (with the default `negative_weight`) switches the method off.

    Source: arXiv 2606.19236; the groups, ``ceil(top * n)`` tokens of each, and the defaults (its variant
    O1 for 7B models) as in the authors' code. Variant C2 is ``negative_weight=0.9``; for 14B and 32B the
    authors give 1.05 and 0.95. The most surprising tokens are sought in a micro-batch over all ranks
    (there: of one rank), with all that tie at the edge. H is that of the last window of the controller
    (there: of the batch itself), so the first one is left alone. The adaptive weights are left out.

    Raises:
        InputError: for a negative weight, or `top` outside (0, 1].
    """
    if weight < 0 or negative_weight < 0 or not 0 < top <= 1:
        raise InputError(
            f"weight={weight} and negative_weight={negative_weight} must be at least 0, and top={top} above "
            "0 and at most 1 (0.1 for a tenth); weight=1 switches the method off"
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


def surprisal_weights(
    tokens: Tokens, positive: float, negative: float, top: float
) -> Float[Tensor, "batch tokens"]:
    """STARE's weights: those given for the most surprising tokens of either sign, 1 elsewhere."""
    counts, surprisal = tokens.mask.bool(), -tokens.logp.float()
    rare_good = _largest(tokens, surprisal, counts & (tokens.advantages > 0), top)
    rare_bad = _largest(tokens, surprisal, counts & (tokens.advantages < 0), top)
    return torch.ones_like(surprisal).masked_fill(rare_good, positive).masked_fill(rare_bad, negative)


def _largest(
    tokens: Tokens,
    values: Float[Tensor, "batch tokens"],
    among: Bool[Tensor, "batch tokens"],
    share: float,
) -> Bool[Tensor, "batch tokens"]:
    """Where the largest values are: ceil(share * n) of the n among which they are sought, over all ranks."""
    everywhere = tokens.gather(values[among])
    if everywhere.numel() == 0:
        return among
    count = math.ceil(share * everywhere.numel() - 1e-9)  # 0.28 * 25 is a little more than 7
    return among & (values >= everywhere.topk(count).values[-1])
