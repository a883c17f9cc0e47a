"""SIREN: the entropy of nucleus and peaks, held where it started."""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from aent.controllers import Anchor
from aent.errors import InputError
from aent.method import Method, Paper, Tokens
from aent.subsets import TopP

SIREN = Paper(
    title="Rethinking Entropy Regularization in Large Reasoning Models",
    arxiv="2509.25133",
    citation="""\
@article{jiang2025rethinking,
    title  = {{Rethinking Entropy Regularization in Large Reasoning Models}},
    author = {Yuxian Jiang and Yafu Li and Guanxu Chen and Dongrui Liu and Yu Cheng and Jing Shao},
    year   = 2025,
    eprint = {arXiv:2509.25133}
}""",
)


def siren(*, coef: float = 0.005, mass: float = 0.8, quantile: float = 0.8) -> Method:
    """SIREN: the square of how far the entropy of nucleus and peaks is from where it started.

    ``loss = policy_loss + coef * (P(pi) - anchor)^2`` in nats^2, P being the mean over responses of the mean
    entropy at those tokens of a response that lie above its `quantile`, each entropy that of the policy
    renormalised on its nucleus of `mass`; the anchor is P of the first window, and before it is known
    nothing is added.

    The square is taken per micro-batch, as in the authors' code, and weighs by the micro-batch's tokens
    (theirs: by its responses). Their anchor is P of the whole first batch of rollouts before any update,
    which is ours with one update per batch. Their nucleus leaves out the token with which the mass is
    reached; ours (`TopP`) keeps it. They train with Dr.GRPO and clipping at 0.28: options of the host.

    Source: arXiv 2509.25133; formula and defaults from the authors' code and script.
    """
    if not 0 <= quantile < 1:
        raise InputError(f"quantile={quantile} must be at least 0 and below 1: tokens above it are looked at")
    return Method(
        name="siren",
        subset=TopP(mass=mass),
        bonus=partial(squared_drift, quantile=quantile),
        controller=Anchor(level=coef),
        measure=partial(peak_weights, quantile=quantile),
        paper=SIREN,
    )


def peak_weights(tokens: Tokens, *, quantile: float) -> Float[Tensor, "batch tokens"]:
    """Weigh the tokens whose entropy is above their response's quantile; they share 1 per response.

    A response whose entropies are all equal has none.
    """
    counted = tokens.mask.bool()
    entropy = tokens.entropy.detach()
    edge = torch.nanquantile(entropy.masked_fill(~counted, torch.nan), quantile, dim=1, keepdim=True)
    above = ((entropy > edge) & counted).to(entropy.dtype)  # nothing is above NaN, a response of no tokens
    return above / above.sum(1, keepdim=True).clamp(min=1)


def squared_drift(tokens: Tokens, *, quantile: float) -> Float[Tensor, "batch tokens"]:
    """Return ``-coef * (P - anchor)^2``, the same for all tokens, nats^2.

    In the place of an anchor a controller may have a band; the distance is then the one outside it.
    """
    if tokens.band is None:
        raise InputError("method 'siren' needs a controller that aims at an entropy, such as Anchor")
    weights = peak_weights(tokens, quantile=quantile)
    mean = (weights * tokens.entropy).sum() / weights.sum().clamp(min=1)
    low, high = tokens.band
    return (-tokens.coef * (mean - mean.clamp(low, high)) ** 2).expand_as(tokens.entropy)
