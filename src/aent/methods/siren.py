"""SIREN: the entropy of the nucleus at the peaks of a response, held at its starting value."""

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
    """Penalize the squared distance of the peak entropy from its starting value.

    ``loss = policy_loss + coef * (P(pi) - anchor)^2`` in nats^2. P is the mean over responses of the mean
    entropy at the peaks of a response, the tokens with an entropy above its `quantile`; a response without
    peaks counts as 0. Each entropy is that of the policy renormalized on its nucleus of `mass`. The anchor
    is P of the first window; until it is known, nothing is added.

    The square is taken per micro-batch, as in the authors' code, and is weighted by the micro-batch's tokens
    (theirs: by its responses). Their anchor is P of the whole first batch of rollouts before any update,
    which is ours with one update per batch. Their nucleus leaves out the token with which the mass is
    reached; ours (`TopP`) keeps it. They train with Dr. GRPO and a clip of 0.28, which are options of the
    host.

    Source: arXiv 2509.25133; formula and defaults are from the authors' code and script.

    Raises:
        InputError: for a quantile outside [0, 1), and in training for a controller without an aim.
    """
    if not 0 <= quantile < 1:
        raise InputError(f"quantile={quantile} must be at least 0 and below 1: tokens above it are looked at")
    return Method(
        name="siren",
        subset=TopP(mass=mass),
        bonus=partial(squared_drift, quantile=quantile),
        controller=Anchor(level=coef),
        measure=partial(peak_entropy, quantile=quantile),
        paper=SIREN,
    )


def peak_entropy(tokens: Tokens, *, quantile: float) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return the mean entropies of the peaks of each response, added up (nats), and how many responses.

    A response whose entropies are all equal has no peak and adds 0. A response without any token that
    counts is not a response.
    """
    counted = tokens.mask.bool()
    edge = tokens.entropy.detach().masked_fill(~counted, torch.nan).nanquantile(quantile, 1, keepdim=True)
    peaks = ((tokens.entropy > edge) & counted).to(tokens.entropy.dtype)  # nothing is above NaN
    means = (peaks * tokens.entropy).sum(1) / peaks.sum(1).clamp(min=1)
    return means.sum(), counted.any(1).sum()


def squared_drift(tokens: Tokens, *, quantile: float) -> Float[Tensor, "batch tokens"]:
    """Return ``-coef * (P - anchor)^2``, the same for all tokens, nats^2.

    With a controller that has a band instead of an anchor, the distance is the one outside the band.
    """
    if tokens.band is None:
        raise InputError("method 'siren' needs a controller that aims at an entropy, such as Anchor")
    total, responses = peak_entropy(tokens, quantile=quantile)
    mean = total / responses.clamp(min=1)
    low, high = tokens.band
    return (-tokens.coef * (mean - mean.clamp(low, high)) ** 2).expand_as(tokens.entropy)
