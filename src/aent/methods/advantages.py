"""Methods that shape the advantages of single tokens or completions."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from aent.controllers import Gate, Sides
from aent.errors import InputError
from aent.methods.base import Method, Paper, Tokens

REASONING = Paper(
    title="Reasoning with Exploration: An Entropy Perspective on Reinforcement Learning for LLMs",
    arxiv="2506.14758",
    citation="""\
@inproceedings{cheng2026reasoning,
    title     = {{Reasoning with Exploration: An Entropy Perspective on Reinforcement Learning for LLMs}},
    author    = {Daixuan Cheng and Shaohan Huang and Xuekai Zhu and Bo Dai and Wayne Xin Zhao
                 and Zhenliang Zhang and Furu Wei},
    year      = 2026,
    booktitle = {AAAI},
    eprint    = {arXiv:2506.14758}
}""",
)
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


def entropy_advantage(*, alpha: float = 0.4, kappa: float = 2.0) -> Method:
    """More advantage where the policy is unsure: ``A_t <- A_t + min(alpha * H_t, |A_t| / kappa)``.

    No gradient flows through H_t, the entropy of the policy before token t in nats, and the sign of an
    advantage never changes. ``alpha=0`` switches the method off.

    Source: arXiv 2506.14758. The formula and the defaults are those of independent ports; the authors'
    own script was not read.

    Raises:
        InputError: for alpha < 0 or kappa < 1.
    """
    if alpha < 0 or kappa < 1:
        raise InputError(
            f"alpha={alpha} and kappa={kappa}: alpha must be at least 0 (which switches the method off) "
            "and kappa at least 1, or negative advantages would change their sign"
        )

    def shaped(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
        return with_entropy(tokens.advantages, tokens.entropy, alpha, kappa)

    return Method(name="entropy-advantage", token_advantages=shaped, paper=REASONING)


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


def with_entropy(
    advantages: Float[Tensor, "batch tokens"],
    entropy: Float[Tensor, "batch tokens"],
    alpha: float,
    kappa: float,
) -> Float[Tensor, "batch tokens"]:
    """``A + min(alpha * H, |A| / kappa)``."""
    return advantages + torch.minimum(alpha * entropy, advantages.abs() / kappa)


def one_sided(advantages: Float[Tensor, "batch tokens"], side: float) -> Float[Tensor, "batch tokens"]:
    """``max(A, 0)`` for a side above 0, ``min(A, 0)`` for one below, A for side 0."""
    if side == 0:
        return advantages
    return advantages.clamp(min=0) if side > 0 else advantages.clamp(max=0)


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
