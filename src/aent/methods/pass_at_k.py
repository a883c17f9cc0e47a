"""Pass@k training: advantages that raise the probability that one of k completions is right."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from aent.errors import InputError
from aent.method import Method, Paper, Rollouts

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


def pass_at_k(*, k: int, threshold: float = 0.5) -> Method:
    """Raise pass@k, the probability that at least one of k completions is right.

    ``A_right = (1 - R) / s; A_wrong = (1 - R - C(W-1, k-1) / C(N-1, k-1)) / s; R = 1 - C(W, k) / C(N, k);
    s = sqrt(R * (1 - R))`` for a group of N completions, W of them wrong. A subset of k completions has
    reward 1 if any of them is right; the advantage of a completion is the mean normalized reward of all
    k-subsets that contain it. If s = 0, all advantages are 0. A completion with a reward above `threshold`
    is right. This is not the rule that verl calls ``grpo_passk`` (2503.19595).

    There is no off switch: ``k=1`` gives GRPO's advantages with the group's standard deviation taken over
    N instead of N - 1.

    Source: arXiv 2508.10751, the analytical derivation; the formula is as in the authors' code. You choose
    k. `threshold` is ours; the rewards there are 0 or 1.

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


def pass_at_k_advantages(right: Bool[Tensor, "groups size"], k: int) -> Float[Tensor, "groups size"]:
    """Return the advantages of `pass_at_k` in closed form, for groups of at least k."""
    size = right.size(1)
    table = torch.tensor([_pass_at_k(wrong, size, k) for wrong in range(size + 1)], device=right.device)
    of_right, of_wrong = table[(~right).sum(1)].split(1, dim=1)
    return torch.where(right, of_right, of_wrong)


def _pass_at_k(wrong: int, size: int, k: int) -> tuple[float, float]:
    """Return the advantages of (a right, a wrong) completion in a group with `wrong` wrong ones."""
    fails = math.comb(wrong, k) / math.comb(size, k)  # 1 - R
    spread = math.sqrt(fails * (1 - fails))
    if spread == 0:
        return 0.0, 0.0
    fails_with_it = math.comb(wrong - 1, k - 1) / math.comb(size - 1, k - 1)
    return fails / spread, (fails - fails_with_it) / spread
