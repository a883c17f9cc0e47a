"""CE-GPPO: clipped tokens keep a gradient."""

import torch
from jaxtyping import Float
from torch import Tensor

from aent.method import Method, Paper, Tokens
from aent.methods.checks import require_at_least
from aent.methods.clipping import clipped

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


def ce_gppo(*, beta1: float = 0.5, beta2: float = 1.0) -> Method:
    """Let clipped tokens keep a gradient: the one they would have at the edge, scaled.

    ``loss_t = -beta1 (1 - epsilon) A r / sg(r) where A < 0 and r < 1 - epsilon; -beta2 (1 + epsilon_high)
    A r / sg(r) where A > 0 and r > 1 + epsilon_high; -r A elsewhere``. sg stops the gradient, so r / sg(r)
    is 1 with the gradient of log pi. The penalty on a clipped token is this loss minus the host's.

    Source: CE-GPPO (arXiv 2509.20712). The defaults are those of the authors' script for 1.5B; their script
    for 7B is ``ce_gppo(beta1=0.75)``. The edges are the host's; the authors' script and TRL both have 0.2
    on either side. The script also caps the loss of a token at 10 |A|, which is TRL's option ``delta=10``,
    and adds 0.1 times the negative log-likelihood of right answers, which is not here.

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
