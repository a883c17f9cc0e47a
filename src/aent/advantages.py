"""The arithmetic of a critic: advantages out of its values, and the loss it is trained with.

Step t of an episode is the t-th token that the policy wrote. Tokens that the mask leaves out (padding, what a
tool wrote) are no steps: they are passed over, and every result is 0 there. Rewards, values, advantages and
returns are in the unit of the reward.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def grpo_advantages(rewards: Float[Tensor, "groups size"]) -> Float[Tensor, "groups size"]:
    """GRPO's advantages: ``(r - mean) / (std + 1e-4)`` of each group; NaN rewards are left out, and get 0.

    Source: DeepSeekMath (arXiv 2402.03300), with the unbiased deviation and the 1e-4 of TRL.
    """
    centred = rewards - rewards.nanmean(1, keepdim=True)
    scored = (~rewards.isnan()).sum(1, keepdim=True)
    variance = centred.square().nansum(1, keepdim=True) / (scored - 1).clamp(min=1)
    return (centred / (variance.sqrt() + 1e-4)).nan_to_num(0.0)


Reduce = Callable[[Float[Tensor, " n"]], Float[Tensor, " n"]]
"""Sums a vector over all ranks."""


def terminal_rewards(
    rewards: Float[Tensor, " batch"], mask: Float[Tensor, "batch tokens"]
) -> Float[Tensor, "batch tokens"]:
    """Give the reward of each completion to its last token: ``r_t = R if t is the last step else 0``.

    A completion that was cut off is an episode that ended there; nothing is added for what might have come.
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
    """Return generalised advantage estimates, and the returns the critic should have predicted.

    ``delta_t = r_t + gamma V_{t+1} - V_t``, ``A_t = delta_t + gamma lam A_{t+1}``, ``R_t = A_t + V_t``, where
    V_t is the value before token t, and V and A are 0 after the last step. With lam 1 and gamma 1, A_t is the
    sum of the rewards to come less V_t.

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
    """Mean and variance (divided by n - 1) over the unmasked tokens of all ranks; 0 and 0 without any."""
    total, count = reduce(torch.stack([(values * mask).sum(), mask.sum().to(values.dtype)]))
    mean = total / count.clamp(min=1)
    squares = reduce(((values - mean) ** 2 * mask).sum()[None])[0]
    return mean, squares / (count - 1).clamp(min=1)


def whiten(
    advantages: Float[Tensor, "batch tokens"], mask: Float[Tensor, "batch tokens"], reduce: Reduce
) -> Float[Tensor, "batch tokens"]:
    """Shift and scale advantages over all ranks: ``(A - mean) / sqrt(var + 1e-8)``.

    Source: what implementations of PPO do to a batch, which the paper does not mention; the epsilon is TRL's
    and verl's.
    """
    mean, variance = moments(advantages, mask, reduce)
    return (advantages - mean) * torch.rsqrt(variance + 1e-8) * mask


def explained_variance(
    advantages: Float[Tensor, "batch tokens"],
    returns: Float[Tensor, "batch tokens"],
    mask: Float[Tensor, "batch tokens"],
    reduce: Reduce,
) -> Float[Tensor, ""]:
    """How much of the returns the critic foresaw: ``1 - var(R - V) / var(R)``.

    1 is all, 0 no more than a constant would, NaN where all returns are equal. The advantages are those
    before whitening, ``A = R - V``.
    """
    mean, of_returns = moments(returns, mask, reduce)
    _, of_errors = moments(advantages, mask, reduce)
    vary = of_returns > 1e-12 * mean**2  # by more than rounding
    return torch.where(vary, 1 - of_errors / of_returns, torch.nan)


def value_loss(
    values: Float[Tensor, "batch tokens"],
    old_values: Float[Tensor, "batch tokens"],
    returns: Float[Tensor, "batch tokens"],
    *,
    clip: float,
) -> Float[Tensor, "batch tokens"]:
    """Squared error of each value, with steps away from the old value not rewarded beyond `clip`.

    ``1/2 max((V - R)^2, (clamp(V, V_old - clip, V_old + clip) - R)^2)``; `clip` infinite is the plain error.

    Source: the code published with PPO (arXiv 1707.06347); the half is TRL's and verl's.
    """
    clamped = torch.clamp(values, old_values - clip, old_values + clip)
    return 0.5 * torch.maximum((values - returns) ** 2, (clamped - returns) ** 2)
