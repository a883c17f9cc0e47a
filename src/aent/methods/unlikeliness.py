"""Unlikeliness: a correct completion earns less the likelier it was."""

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


def unlikely_rewards(
    rewards: Float[Tensor, "groups size"], logp: Float[Tensor, "groups size"], b: float, threshold: float
) -> Float[Tensor, "groups size"]:
    """``r * (1 - b * rank / size)`` where r > threshold, with rank 0 for the least likely of a group."""
    rank = logp.argsort(dim=1, stable=True).argsort(dim=1)
    return torch.where(rewards > threshold, rewards * (1 - b * rank / rewards.size(1)), rewards)
