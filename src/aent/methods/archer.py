"""Archer: the uncertainty of a token decides its clipping range and KL penalty."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from aent.errors import InputError
from aent.method import Edge, Method, Paper, Tokens
from aent.methods.checks import require_at_least, require_between

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


def archer(*, quantile: float = 0.8, clip: float = 0.2, clip_above: float = 0.5, kl: float = 0.001) -> Method:
    """Give uncertain tokens of a response wide clipping and no KL, and the others narrow clipping and KL.

    ``e_t = clip_above and kl_t = 0 where H_t > quantile(H of the response), else e_t = clip and kl_t = kl;
    loss_t = -min(r A, clip(r, 1 - e_t, 1 + e_t) A) + kl_t KL_t``, with H in nats under the policy being
    trained and KL_t = exp(d) - d - 1 for d = log pi_ref - log pi.

    The host keeps the reference policy only if its option ``beta`` is not 0. So the method sets ``beta`` to
    `kl`, switches off the host's correction of the KL by the ratio, and adds a penalty of -kl KL_t on the
    uncertain tokens, which cancels the host's.

    Source: Archer (arXiv 2507.15778). Defaults and quantile are from the authors' code, where the names of
    the two masks are swapped. Two facts were read only in copies of that code: H is the trained policy's
    entropy, and KL_t is averaged over the other tokens only, so their 0.001 equals 0.00125 here, where the
    average is over all tokens. Their scripts also clamp KL_t at 10, take 3 epochs on each batch of rollouts
    and cap the loss of a token with A < 0 at 10 |A| (clip ratio c). In TRL, the last two are the options
    ``num_iterations=3`` and ``delta=10``.

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
        if tokens.ref_logp is None:
            raise InputError(
                "method 'archer' needs Tokens.ref_logp and has none; give the log-probabilities under the "
                "policy that training started from, or set kl to 0"
            )
        d = tokens.ref_logp - tokens.logp
        return torch.where(uncertain(tokens), -kl * (torch.exp(d) - d - 1), 0.0)

    return Method(
        name="archer",
        options={"beta": kl, "use_bias_correction_kl": False},
        clip=edges,
        penalty=penalty if kl else None,
        paper=ARCHER,
    )
