"""Unlikeliness: the likelier a correct completion was, the less it earns."""

import torch
from jaxtyping import Float
from torch import Tensor

from aent.errors import InputError
from aent.method import Method, Paper, Rollouts

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


def unlikeliness(*, b: float = 0.25, threshold: float = 0.5) -> Method:
    """Reward a correct completion less, the likelier it was: ``r_i <- r_i * (1 - b * rank_i / G)``.

    rank_i is the rank of completion i in its group of G by mean log-probability per token; 0 is the least
    likely, and wrong completions are ranked too. Truncated completions that are masked take the highest
    ranks, so that the others are ranked among themselves. A completion with a reward above `threshold` is
    correct; the rewards of the others do not change. ``b=0`` switches the method off.

    Source: arXiv 2506.02355; formula and b are as in the authors' code. Their training takes two epochs on
    each batch of rollouts (TRL's ``num_iterations=2``) and has a KL coefficient of 0.1 (TRL's ``beta``).
    There, rewards are 0 or 1; `threshold` is ours.

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


def unlikely_rewards(
    rewards: Float[Tensor, "groups size"], logp: Float[Tensor, "groups size"], b: float, threshold: float
) -> Float[Tensor, "groups size"]:
    """Return ``r * (1 - b * rank / size)`` where r > threshold; rank 0 is the least likely of a group."""
    rank = logp.argsort(dim=1, stable=True).argsort(dim=1)
    return torch.where(rewards > threshold, rewards * (1 - b * rank / rewards.size(1)), rewards)
