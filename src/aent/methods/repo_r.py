"""REPO-R: advantages without the part that goes with the log-probability."""

from jaxtyping import Float
from torch import Tensor

from aent.controllers import Doubling
from aent.method import Method, Paper, Tokens

REPO = Paper(
    title="Entropy-Preserving Reinforcement Learning",
    arxiv="2603.11682",
    citation="""\
@inproceedings{entropy2026preserving,
    title     = {{Entropy-Preserving Reinforcement Learning}},
    year      = 2026,
    booktitle = {ICLR},
    eprint    = {arXiv:2603.11682}
}""",
)


def repo_r(
    *, coef: float, coef_min: float = 1e-4, coef_max: float = 0.05, target: float | None = None
) -> Method:
    """Reinforce unlikely tokens more and suppress them less: ``A_t <- A_t (1 - sign(A_t) z log pi_t)``.

    ``z <- clip(2 z if H < target else z / 2 if H > target, coef_min, coef_max)``, with log pi and H in nats
    under the policy being trained; z starts at `coef`. The factor is at least 0, so no advantage changes its
    sign. Without a `target`, it is the first measured entropy. H is that of the controller's last window.

    Source: REPO-R (arXiv 2603.11682); the range of z and its doubling are the paper's. The start of z was
    not found, so you must give it.

    Raises:
        InputError: unless 0 < coef_min <= coef <= coef_max.
    """
    return Method(
        name="repo-r",
        token_advantages=decorrelated,
        bonus=None,
        controller=Doubling(coef=coef, coef_min=coef_min, coef_max=coef_max, target=target),
        paper=REPO,
    )


def decorrelated(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
    """Return ``A * max(0, 1 - sign(A) * coef * log pi)``."""
    a = tokens.advantages
    return a * (1 - a.sign() * tokens.coef * tokens.logp).clamp(min=0)
