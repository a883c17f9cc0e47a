"""Advantages of a group of completions and of a critic, and the critic's loss.

Step t of an episode is the t-th token that the policy wrote. Tokens that the mask leaves out (padding, the
output of a tool) are not steps: they are skipped, and every result is 0 there. Rewards, values, advantages
and returns are in the unit of the reward.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Reduce = Callable[[Float[Tensor, " n"]], Float[Tensor, " n"]]
"""Sums a vector over all ranks."""


def right(rewards: Float[Tensor, " *all"]) -> Float[Tensor, " *all"]:
    """Return 1 for the completions that earn the best reward of all, 0 for the others.

    A reward below the best, by more than rounding, is one for a near miss. All 0 if the rewards are equal, as
    nothing then tells right from wrong.
    """
    worst, best = rewards.min(), rewards.max()
    return ((rewards >= best - 1e-4 * (best - worst)) & (best > worst)).float()


def grpo_advantages(rewards: Float[Tensor, "groups size"]) -> Float[Tensor, "groups size"]:
    """Return GRPO's advantages, ``(r - mean) / (std + 1e-4)`` within each group.

    A NaN reward counts in neither mean nor deviation, and its advantage is 0.

    Source: DeepSeekMath (arXiv 2402.03300), with TRL's unbiased standard deviation and 1e-4.
    """
    centered = rewards - rewards.nanmean(1, keepdim=True)
    scored = (~rewards.isnan()).sum(1, keepdim=True)
    variance = centered.square().nansum(1, keepdim=True) / (scored - 1).clamp(min=1)
    return (centered / (variance.sqrt() + 1e-4)).nan_to_num(0.0)


def terminal_rewards(
    rewards: Float[Tensor, " batch"], mask: Float[Tensor, "batch tokens"]
) -> Float[Tensor, "batch tokens"]:
    """Assign the reward of each completion to its last token: ``r_t = R if t is the last step else 0``.

    A truncated completion counts as an episode that ended there; no value is bootstrapped.
    """
    steps = mask.cumsum(1)
    last = (mask != 0) & (steps == steps[:, -1:])
    return last * rewards[:, None]


def gae(
    rewards: Float[Tensor, "batch tokens"],
    values: Float[Tensor, "batch tokens"],
    mask: Float[Tensor, "batch tokens"],
    *,
    gamma: float,
    lam: float,
) -> tuple[Float[Tensor, "batch tokens"], Float[Tensor, "batch tokens"]]:
    """Return generalized advantage estimates and the returns that the critic should have predicted.

    ``delta_t = r_t + gamma V_{t+1} - V_t``, ``A_t = delta_t + gamma lam A_{t+1}``, ``R_t = A_t + V_t``, where
    V_t is the value before token t, and V and A are 0 after the last step. With lam = gamma = 1, A_t is the
    sum of the remaining rewards minus V_t.

    Source: GAE (arXiv 1506.02438, eq. 16), in the truncated form of PPO (arXiv 1707.06347, eq. 11 and 12).
    """
    advantages = torch.zeros_like(values)
    value_after = advantage_after = values.new_zeros(len(values))
    for t in reversed(range(values.size(1))):
        step = mask[:, t] != 0
        delta = rewards[:, t] + gamma * value_after - values[:, t]
        advantage_after = torch.where(step, delta + gamma * lam * advantage_after, advantage_after)
        value_after = torch.where(step, values[:, t], value_after)
        advantages[:, t] = torch.where(step, advantage_after, 0.0)
    return advantages, (advantages + values) * (mask != 0)


def moments(
    values: Float[Tensor, "batch tokens"], mask: Float[Tensor, "batch tokens"], reduce: Reduce
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return mean and variance (over n - 1) of the unmasked tokens on all ranks; 0 and 0 without tokens."""
    total, count = reduce(torch.stack([(values * mask).sum(), mask.sum().to(values.dtype)]))
    mean = total / count.clamp(min=1)
    squares = reduce(((values - mean) ** 2 * mask).sum()[None])[0]
    return mean, squares / (count - 1).clamp(min=1)


def whiten(
    advantages: Float[Tensor, "batch tokens"], mask: Float[Tensor, "batch tokens"], reduce: Reduce
) -> Float[Tensor, "batch tokens"]:
    """Standardize advantages over all ranks: ``(A - mean) / sqrt(var + 1e-8)``.

    Source: common in implementations of PPO, not mentioned in the paper; the epsilon is TRL's and verl's.
    """
    mean, variance = moments(advantages, mask, reduce)
    return (advantages - mean) * torch.rsqrt(variance + 1e-8) * mask


def explained_variance(
    advantages: Float[Tensor, "batch tokens"],
    returns: Float[Tensor, "batch tokens"],
    mask: Float[Tensor, "batch tokens"],
    reduce: Reduce,
) -> Float[Tensor, ""]:
    """Return the share of the returns' variance that the critic predicted: ``1 - var(R - V) / var(R)``.

    1 is a perfect critic, 0 is no better than a constant, NaN means that all returns are equal. Pass the
    advantages from before whitening, ``A = R - V``.
    """
    mean, of_returns = moments(returns, mask, reduce)
    _, of_errors = moments(advantages, mask, reduce)
    vary = of_returns > 1e-12 * mean**2  # by more than rounding error
    return torch.where(vary, 1 - of_errors / of_returns, torch.nan)


def value_loss(
    values: Float[Tensor, "batch tokens"],
    old_values: Float[Tensor, "batch tokens"],
    returns: Float[Tensor, "batch tokens"],
    *,
    clip: float,
) -> Float[Tensor, "batch tokens"]:
    """Return the squared error of each value, clipped so that moving beyond `clip` is not rewarded.

    ``1/2 max((V - R)^2, (clamp(V, V_old - clip, V_old + clip) - R)^2)``. An infinite `clip` gives the plain
    squared error.

    Source: the code published with PPO (arXiv 1707.06347); the factor 1/2 is TRL's and verl's.
    """
    clamped = torch.clamp(values, old_values - clip, old_values + clip)
    return 0.5 * torch.maximum((values - returns) ** 2, (clamped - returns) ** 2)
