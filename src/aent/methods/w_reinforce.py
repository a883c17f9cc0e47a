"""W-REINFORCE: right completions weigh less than wrong ones."""

import torch
from jaxtyping import Float
from torch import Tensor

from aent.errors import InputError
from aent.method import Method, Paper, Rollouts

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


def w_reinforce(*, weight: float = 0.1, threshold: float = 0.5) -> Method:
    """Run REINFORCE with little weight on right completions: ``A = weight if right else -1``.

    There is no baseline, so groups that are all right or all wrong contribute too. A completion with a
    reward above `threshold` is right. ``weight=0`` is the paper's NSR (wrong completions only); ``weight=1``
    is REINFORCE on rewards of 1 and -1. No setting turns this into GRPO.

    Source: arXiv 2506.01347; advantages and weight (its lambda) are as in the authors' code, where rewards
    are 0 or 1. `threshold` is ours.

    Raises:
        InputError: for a negative weight.
    """
    if weight < 0:
        raise InputError(f"weight={weight} would teach against right completions; give 0 (NSR) or more")

    def advantages(rollouts: Rollouts) -> Float[Tensor, "groups size"]:
        right = rollouts.rewards > threshold
        return torch.full_like(rollouts.rewards, -1.0).masked_fill(right, weight)

    return Method(name="w-reinforce", group_advantages=advantages, paper=NEGATIVE)
