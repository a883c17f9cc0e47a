"""QAE: a quantile of the group's rewards as the baseline."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from aent.errors import InputError
from aent.method import Method, Paper, Rollouts
from aent.methods.extremes import at_least

QUANTILE = Paper(
    title="Quantile Advantage Estimation for Entropy-Safe Reasoning",
    arxiv="2509.22611",
    citation="""\
@article{wu2025quantile,
    title  = {{Quantile Advantage Estimation for Entropy-Safe Reasoning}},
    author = {Junkang Wu and Kexin Huang and Jiancan Wu and An Zhang and Xiang Wang and Xiangnan He},
    year   = 2025,
    eprint = {arXiv:2509.22611}
}""",
)


def qae(*, quantile: float = 0.4, epsilon_high: float | None = 0.28) -> Method:
    """Take a quantile of the group's rewards as the baseline: ``A_i = (r_i - Q_K(r)) / std(r)``.

    Q_K is the smallest reward that at least a share K (`quantile`) of the group does not exceed. Suppose
    rewards are 0 or 1 and a share p is right. For p <= 1 - K the baseline is 0, so only right completions
    are reinforced; otherwise it is 1, so only wrong ones are discouraged. std is the standard deviation of
    the group, as in TRL. `epsilon_high` is DAPO's upper clip; None keeps the host's. There is no off switch.

    Source: arXiv 2509.22611. K is 0.4 with DAPO's clip; the authors take 0.6 if entropy collapses
    nevertheless. The gate at p = 1 - K is the paper's. The authors' code takes a quantile that interpolates
    between rewards, which moves the gate.

    Raises:
        InputError: for a quantile outside (0, 1].
    """
    if not 0 < quantile <= 1:
        raise InputError(f"quantile={quantile} is outside (0, 1]; 0.5 is the median")

    def advantages(rollouts: Rollouts) -> Float[Tensor, "groups size"]:
        return quantile_advantages(rollouts.rewards, quantile)

    options: dict[str, Any] = {} if epsilon_high is None else {"epsilon_high": epsilon_high}
    return Method(name="qae", options=options, group_advantages=advantages, paper=QUANTILE)


def quantile_advantages(
    rewards: Float[Tensor, "groups size"], quantile: float
) -> Float[Tensor, "groups size"]:
    """Return ``(r - Q) / (std + 1e-4)``, Q the smallest reward that a share `quantile` does not exceed."""
    place = at_least(quantile, rewards.size(1))
    baseline = rewards.sort(dim=1).values[:, place - 1, None]
    return (rewards - baseline) / (rewards.std(dim=1, keepdim=True) + 1e-4)
