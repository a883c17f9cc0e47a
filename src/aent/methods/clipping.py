"""Methods that change where the ratio is clipped, and what becomes of the tokens beyond."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from aent.methods.base import Edge, Method, Paper, Tokens
from aent.methods.checks import require_at_least, require_between

DAPO = Paper(
    title="DAPO: An Open-Source LLM Reinforcement Learning System at Scale",
    arxiv="2503.14476",
    citation="""\
@article{yu2025dapo,
    title  = {{DAPO: An Open-Source LLM Reinforcement Learning System at Scale}},
    author = {Qiying Yu and others},
    year   = 2025,
    eprint = {arXiv:2503.14476}
}""",
)

CE_GPPO = Paper(
    title="CE-GPPO: Coordinating Entropy via Gradient-Preserving Clipping Policy Optimization",
    arxiv="2509.20712",
    citation="""\
@article{su2025cegppo,
    title  = {{CE-GPPO: Coordinating Entropy via Gradient-Preserving Clipping Policy Optimization in
              Reinforcement Learning}},
    author = {Zhenpeng Su and others},
    year   = 2025,
    eprint = {arXiv:2509.20712}
}""",
)

ARCHER = Paper(
    title="Stabilizing Knowledge, Promoting Reasoning: Dual-Token Constraints for RLVR",
    arxiv="2507.15778",
    citation="""\
@article{wang2025archer,
    title  = {{Stabilizing Knowledge, Promoting Reasoning: Dual-Token Constraints for RLVR}},
    author = {Jiakang Wang and others},
    year   = 2025,
    eprint = {arXiv:2507.15778}
}""",
)


def clip_higher(*, epsilon: float = 0.2, epsilon_high: float = 0.28) -> Method:
    """More room for a ratio to grow than to shrink, so that unlikely tokens can become likely.

    ``loss_t = -min(r A, clip(r, 1 - epsilon, 1 + epsilon_high) A)`` with r the ratio of a token and A its
    advantage. Only the two options of the host are set.

    Source: DAPO (arXiv 2503.14476), which names it Clip-Higher; both defaults are those of its scripts.
    """
    return Method(
        name="clip-higher",
        options=clip_options(epsilon, epsilon_high),
        needs_clip=True,
        paper=DAPO,
    )


def ce_gppo(*, beta1: float = 0.5, beta2: float = 1.0) -> Method:
    """Clipped tokens keep a gradient: the one they would have at the edge, scaled.

    ``loss_t = -beta1 (1 - epsilon) A r / sg(r) where A < 0 and r < 1 - epsilon; -beta2 (1 + epsilon_high)
    A r / sg(r) where A > 0 and r > 1 + epsilon_high; -r A elsewhere``. sg stops the gradient, so r / sg(r)
    is 1 with the gradient of log pi. It is added to the host's clipped loss as a penalty on clipped tokens,
    their new loss less the host's.

    Source: CE-GPPO (arXiv 2509.20712). The defaults are those of the authors' script for 1.5B; theirs for
    7B is ``ce_gppo(beta1=0.75)``. The edges are the host's; their script has 0.2 on both sides, as TRL has.
    Their script also holds the loss of a token below 10 |A|, which is TRL's option ``delta=10``.

    Raises:
        InputError: if a scale is negative or not finite.
    """
    require_at_least("beta1", beta1, 0)
    require_at_least("beta2", beta2, 0)

    def penalty(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
        at_low, at_high = clipped(tokens)
        low, high = tokens.clip
        edge = torch.where(at_low, 1 - low, 1 + high)
        scale = torch.where(at_low, beta1, beta2)
        kept = scale * torch.exp(tokens.logp - tokens.logp.detach())
        hosts, ours = -edge * tokens.advantages, -kept * edge * tokens.advantages
        return torch.where(at_low | at_high, (ours - hosts) * tokens.weight, 0.0)

    return Method(name="ce-gppo", penalty=penalty, needs_clip=True, paper=CE_GPPO)


def archer(*, quantile: float = 0.8, clip: float = 0.2, clip_above: float = 0.5, kl: float = 0.001) -> Method:
    """Wide clipping and no KL for the uncertain tokens of a response, narrow clipping and KL for the others.

    ``e_t = clip_above and kl_t = 0 where H_t > quantile(H of the response), else e_t = clip and kl_t = kl;
    loss_t = -min(r A, clip(r, 1 - e_t, 1 + e_t) A) + kl_t KL_t``, H in nats under the policy that is
    trained, KL_t = exp(d) - d - 1 with d = log pi_ref - log pi.

    The host keeps the reference policy only where its option ``beta`` is not 0. So ``beta`` is set to `kl`,
    its correction of the KL by the ratio is switched off, and a penalty of -kl KL_t takes back what the
    host adds on the uncertain tokens.

    Source: Archer (arXiv 2507.15778); defaults and quantile of the authors' code, where the names of the two
    masks are swapped. Only read in copies of it: that H is the trained policy's, and that KL_t is averaged
    over the other tokens alone, so that their 0.001 weighs as 0.00125 does here, where all tokens count.

    Raises:
        InputError: if `quantile` is not in [0, 1], a clip is negative, or `kl` is negative or not finite.
    """
    require_between("quantile", quantile, 0, 1)
    require_at_least("clip", clip, 0)
    require_at_least("clip_above", clip_above, 0)
    require_at_least("kl", kl, 0)

    def uncertain(tokens: Tokens) -> Bool[Tensor, "batch tokens"]:
        entropy = tokens.entropy.detach().float().masked_fill(tokens.mask == 0, torch.nan)
        return entropy > entropy.nanquantile(quantile, dim=1, keepdim=True)

    def edges(tokens: Tokens) -> tuple[Edge, Edge]:
        edge = torch.where(uncertain(tokens), clip_above, clip)
        return edge, edge

    def penalty(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
        assert tokens.ref_logp is not None, "beta is set, so the host keeps the reference policy"
        d = tokens.ref_logp - tokens.logp
        return torch.where(uncertain(tokens), -kl * (torch.exp(d) - d - 1), 0.0)

    return Method(
        name="archer",
        options={"beta": kl, "use_bias_correction_kl": False},
        clip=edges,
        penalty=penalty if kl else None,
        paper=ARCHER,
    )


def clip_options(epsilon: float, epsilon_high: float) -> dict[str, float]:
    """Return the host's options that clip the ratio to [1 - epsilon, 1 + epsilon_high].

    Raises:
        InputError: if one is negative.
    """
    require_between("epsilon", epsilon, 0, math.inf)
    require_between("epsilon_high", epsilon_high, 0, math.inf)
    return {"epsilon": epsilon, "epsilon_high": epsilon_high}


def clipped(tokens: Tokens) -> tuple[Bool[Tensor, "batch tokens"], Bool[Tensor, "batch tokens"]]:
    """Return the tokens that the host clips at the low edge and at the high one: theirs is no gradient."""
    low, high = tokens.clip
    ratio = tokens.ratio.detach()
    return (
        (tokens.advantages < 0) & (ratio < 1 - low),
        (tokens.advantages > 0) & (ratio > 1 + high),
    )
