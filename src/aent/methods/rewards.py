"""Methods that change what a group of completions earns."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from aent.errors import InputError
from aent.methods.base import Method, Paper, Rollouts

UNLIKELY = Paper(
    title="Rewarding the Unlikely: Lifting GRPO Beyond Distribution Sharpening",
    arxiv="2506.02355",
    citation="""\
@inproceedings{he2025rewarding,
    title     = {{Rewarding the Unlikely: Lifting GRPO Beyond Distribution Sharpening}},
    author    = {Andre He and Daniel Fried and Sean Welleck},
    year      = 2025,
    booktitle = {EMNLP},
    eprint    = {arXiv:2506.02355}
}""",
)
PASS_AT_K = Paper(
    title="Pass@k Training for Adaptively Balancing Exploration and Exploitation of Large Reasoning Models",
    arxiv="2508.10751",
    citation="""\
@article{chen2025passk,
    title  = {{Pass@k Training for Adaptively Balancing Exploration and Exploitation of Large Reasoning
              Models}},
    author = {Zhipeng Chen and Xiaobo Qin and Youbin Wu and Yue Ling and Qinghao Ye and Wayne Xin Zhao
              and Guang Shi},
    year   = 2025,
    eprint = {arXiv:2508.10751}
}""",
)
NEGATIVE = Paper(
    title="The Surprising Effectiveness of Negative Reinforcement in LLM Reasoning",
    arxiv="2506.01347",
    citation="""\
@inproceedings{zhu2025surprising,
    title     = {{The Surprising Effectiveness of Negative Reinforcement in LLM Reasoning}},
    author    = {Xinyu Zhu and Mengzhou Xia and Zhepei Wei and Wei-Lin Chen and Danqi Chen and Yu Meng},
    year      = 2025,
    booktitle = {NeurIPS},
    eprint    = {arXiv:2506.01347}
}""",
)
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


def unlikeliness(*, b: float = 0.25, threshold: float = 0.5) -> Method:
    """A correct completion earns less, the likelier it was: ``r_i <- r_i * (1 - b * rank_i / G)``.

    rank_i is the place of completion i among the G of its group by mean log-probability per token, 0 the
    least likely, wrong ones counted too. A reward above `threshold` is that of a correct completion; the
    others stay as they are. ``b=0`` switches the method off.

    Source: arXiv 2506.02355; formula and b as in the authors' code, which trains with two epochs on each
    batch of rollouts (TRL's ``num_iterations=2``). There the rewards are 0 or 1; `threshold` is ours.

    Raises:
        InputError: for b outside [0, 1].
    """
    if not 0 <= b <= 1:
        raise InputError(
            f"b={b} is outside [0, 1]; 0 switches the method off, 1 leaves the likeliest 1/G of its reward"
        )

    def rewards(rollouts: Rollouts) -> Float[Tensor, "groups size"]:
        return unlikely_rewards(rollouts.rewards, rollouts.mean_logp(), b, threshold)

    return Method(name="unlikeliness", rewards=rewards, paper=UNLIKELY)


def pass_at_k(*, k: int, threshold: float = 0.5) -> Method:
    """Advantages that raise pass@k, the chance that one of k completions is right.

    ``A_right = (1 - R) / s; A_wrong = (1 - R - C(W-1, k-1) / C(N-1, k-1)) / s; R = 1 - C(W, k) / C(N, k);
    s = sqrt(R * (1 - R))`` for a group of N completions, W of them wrong: the mean over all k-subsets that
    hold a completion of the subset's normalised reward, which is 1 where any of it is right. With s = 0
    all advantages are 0. A reward above `threshold` is that of a right completion. This is not the rule that
    verl calls ``grpo_passk`` (2503.19595).

    There is no off switch: ``k=1`` gives GRPO's advantages with the group's standard deviation taken over
    N instead of N - 1.

    Source: arXiv 2508.10751, the analytical derivation; the formula as in the authors' code. k is for you
    to choose. `threshold` is ours, the rewards there are 0 or 1.

    Raises:
        InputError: for k < 1, and in training for groups smaller than k.
    """
    if k < 1:
        raise InputError(f"k={k} must be at least 1; give the k of the pass@k that you want to raise")

    def advantages(rollouts: Rollouts) -> Float[Tensor, "groups size"]:
        size = rollouts.rewards.size(1)
        if k > size:
            raise InputError(
                f"pass-at-k with k={k} needs groups of at least {k} completions, not {size}; raise "
                "num_generations or lower k"
            )
        return pass_at_k_advantages(rollouts.rewards > threshold, k)

    return Method(name="pass-at-k", group_advantages=advantages, paper=PASS_AT_K)


def w_reinforce(*, weight: float = 0.1, threshold: float = 0.5) -> Method:
    """REINFORCE with little weight on right completions: ``A = weight if right else -1``.

    There is no baseline, so groups that are all right or all wrong teach as well. A reward above
    `threshold` is that of a right completion. ``weight=0`` is the paper's NSR (wrong completions alone);
    ``weight=1`` is REINFORCE on rewards of 1 and -1. There is no off switch that gives GRPO.

    Source: arXiv 2506.01347; advantages and weight (its lambda) as in the authors' code, where the rewards
    are 0 or 1; `threshold` is ours.

    Raises:
        InputError: for a negative weight.
    """
    if weight < 0:
        raise InputError(f"weight={weight} would teach against right completions; give 0 (NSR) or more")

    def advantages(rollouts: Rollouts) -> Float[Tensor, "groups size"]:
        right = rollouts.rewards > threshold
        return torch.full_like(rollouts.rewards, -1.0).masked_fill(right, weight)

    return Method(name="w-reinforce", group_advantages=advantages, paper=NEGATIVE)


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


def unlikely_rewards(
    rewards: Float[Tensor, "groups size"], logp: Float[Tensor, "groups size"], b: float, threshold: float
) -> Float[Tensor, "groups size"]:
    """``r * (1 - b * rank / size)`` where r > threshold, with rank 0 for the least likely of a group."""
    rank = logp.argsort(dim=1, stable=True).argsort(dim=1)
    return torch.where(rewards > threshold, rewards * (1 - b * rank / rewards.size(1)), rewards)


def pass_at_k_advantages(right: Bool[Tensor, "groups size"], k: int) -> Float[Tensor, "groups size"]:
    """The closed form of `pass_at_k`, for groups of at least k."""
    size = right.size(1)
    table = torch.tensor([_pass_at_k(wrong, size, k) for wrong in range(size + 1)], device=right.device)
    of_right, of_wrong = table[(~right).sum(1)].split(1, dim=1)
    return torch.where(right, of_right, of_wrong)


def _pass_at_k(wrong: int, size: int, k: int) -> tuple[float, float]:
    """Advantages of (a right, a wrong) completion in a group with so many wrong ones."""
    fails = math.comb(wrong, k) / math.comb(size, k)  # 1 - R
    spread = math.sqrt(fails * (1 - fails))
    if spread == 0:
        return 0.0, 0.0
    fails_with_it = math.comb(wrong - 1, k - 1) / math.comb(size - 1, k - 1)
    return fails / spread, (fails - fails_with_it) / spread


def quantile_advantages(
    rewards: Float[Tensor, "groups size"], quantile: float
) -> Float[Tensor, "groups size"]:
    """``(r - Q) / (std + 1e-4)``, Q the smallest reward that a share `quantile` does not exceed."""
    place = math.ceil(quantile * rewards.size(1) - 1e-9)  # 0.28 * 25 is a little more than 7
    baseline = rewards.sort(dim=1).values[:, place - 1, None]
    return (rewards - baseline) / (rewards.std(dim=1, keepdim=True) + 1e-4)
