"""QAE: a quantile of the group's rewards as baseline."""

import math
from typing import Any

from jaxtyping import Float
from torch import Tensor

from aent.errors import InputError
from aent.method import Method, Paper, Rollouts

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
    """A quantile of the group's rewards as baseline: ``A_i = (r_i - Q_K(r)) / std(r)``.

    Q_K is the smallest reward that at least a share K (`quantile`) of the group does not exceed. With
    rewards of 0 and 1 and a share p right it is 0 for p <= 1 - K, so that only right completions are
    reinforced, and 1 otherwise, so that only wrong ones are discouraged. std is that of the group, as in
    TRL. `epsilon_high` is DAPO's upper clip; None leaves the host's. There is no off switch.

    Source: arXiv 2509.22611. K is 0.4 with DAPO's clip, and 0.6 is the authors' choice where entropy
    collapses nevertheless. The abstract gives the gate at p = 1 - K; between two rewards the paper's code
    may interpolate (not read).

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
    """``(r - Q) / (std + 1e-4)``, Q the smallest reward that a share `quantile` does not exceed."""
    place = math.ceil(quantile * rewards.size(1) - 1e-9)  # 0.28 * 25 is a little more than 7
    baseline = rewards.sort(dim=1).values[:, place - 1, None]
    return (rewards - baseline) / (rewards.std(dim=1, keepdim=True) + 1e-4)
