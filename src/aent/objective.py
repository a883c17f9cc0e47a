"""Where a method meets the policy-gradient loss: one function for each place, in the order they act.

1. Rollouts: `rollout_advantages` sees the rewards of a batch of rollouts, once.
2. Forward pass: `token_advantages` and `clip_edges` see the tokens of a micro-batch, before the host
   computes its loss from them.
3. Loss: `with_terms` adds the method's terms to the host's loss. Only this function writes
   ``- coef * entropy``. The optimizer minimizes, so `coef` > 0 pulls towards higher entropy.
4. Measurement: `entropy_sum` and `first_order_effect` add up what moves the controller.

How the coefficient moves is in `aent.steering` and `aent.controllers`, the entropy itself in `aent.ops`. The
policy-gradient loss stays with the host. What a method's parts return is checked here, once: every shape must
be exact and every number finite, or an `InputError` names the part and the method.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from aent.errors import InputError
from aent.method import Edge, Method, Rollouts, Tokens
from aent.pieces import checked_edges, checked_values


def changed_rewards(method: Method, rollouts: Rollouts) -> Float[Tensor, "groups size"]:
    """Return the rewards to train on: the method's, or those of the rollouts if it has none."""
    if method.rewards is None:
        return rollouts.rewards
    return _per_completion("rewards", method, method.rewards(rollouts), rollouts)


def rollout_advantages(
    method: Method,
    rollouts: Rollouts,
    baseline: Callable[[Float[Tensor, "groups size"]], Float[Tensor, "groups size"]],
) -> Float[Tensor, "groups size"]:
    """Return the advantages of a batch of rollouts.

    They are the method's or, if it has none, the algorithm's `baseline` applied to `changed_rewards`.
    """
    rollouts = replace(rollouts, rewards=changed_rewards(method, rollouts))
    if method.group_advantages is not None:
        return _per_completion("group_advantages", method, method.group_advantages(rollouts), rollouts)
    return baseline(rollouts.rewards)


def token_advantages(method: Method, tokens: Tokens) -> Float[Tensor, "batch tokens"]:
    """Return the advantages of single tokens, without gradient."""
    if method.token_advantages is None:
        return tokens.advantages
    with torch.no_grad():
        return _per_token("token_advantages", method, method.token_advantages(tokens), tokens)


def clip_edges(method: Method, tokens: Tokens) -> tuple[Edge, Edge]:
    """Return the clipping range (low, high) for [1 - low, 1 + high]: the method's, or the host's.

    If the method returns a number and a tensor, both are tensors: `torch.clamp` takes no mixture.
    """
    if method.clip is None:
        return tokens.clip
    with torch.no_grad():
        low, high = checked_edges(_name("clip", method), method.clip(tokens), tokens.mask.shape)
    if isinstance(low, Tensor) == isinstance(high, Tensor):
        return low, high
    return torch.as_tensor(low).to(tokens.logp), torch.as_tensor(high).to(tokens.logp)


def with_terms(
    policy_loss: Float[Tensor, ""],
    method: Method,
    tokens: Tokens,
    *,
    host_mean: Callable[[Float[Tensor, "batch tokens"]], Float[Tensor, ""]],
    count: float,
) -> Float[Tensor, ""]:
    """Add a method's terms to the loss of a micro-batch.

    ``loss = policy_loss + host_mean(penalty) - sum_t mask_t bonus_t / count``

    `host_mean` averages over tokens the way the host averages its own loss. `count` is the number of
    unmasked tokens behind one optimizer step, so the bonus is a mean per token no matter how the step is
    divided into micro-batches and ranks.

    Raises:
        InputError: if the method needs `Tokens.slopes` and has none: its coefficient would stay at 0.
    """
    if method.needs_slopes and tokens.slopes is None:
        raise InputError(
            f"method {method.name!r} needs Tokens.slopes, and there are none; measure them with "
            "aent.logit_slopes or aent.entropy_slopes"
        )
    loss = policy_loss
    if method.penalty is not None:
        penalty = method.penalty(replace(tokens, entropy=tokens.entropy.detach()))
        loss = loss + host_mean(_per_token("penalty", method, penalty, tokens))
    if method.bonus is not None and method.controller is not None and tokens.coef != 0:
        bonus = _per_token("bonus", method, method.bonus(tokens), tokens)
        loss = loss - masked_sum(bonus, tokens.mask) / count
    return loss


def entropy_sum(method: Method, tokens: Tokens) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return the sum of the entropies (nats) of a micro-batch and the weight behind it, without gradient.

    The controller's next update gets the total of these sums divided by the total of the weights, over all
    micro-batches and ranks since its last update. Without `Method.measure`, the sum is over all unmasked
    tokens and the weight is their number.
    """
    with torch.no_grad():
        if method.measure is None:
            return masked_sum(tokens.entropy, tokens.mask), tokens.mask.sum()
        pair = method.measure(tokens)
    what = _name("measure", method)
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise InputError(
            f"{what} returned a {type(pair).__name__}; return a pair (sum of entropies, weight behind it)"
        )
    entropy, weight = (checked_values(what, value, (), "a single number") for value in pair)
    return entropy, weight


def first_order_effect(
    method: Method,
    tokens: Tokens,
    *,
    host_mean: Callable[[Float[Tensor, "batch tokens"]], Float[Tensor, ""]],
    count: float,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return (pull, push): the change of the mean entropy per unit of step in the logits; 0 without slopes.

    ``pull = host_mean(A (g_t - sum_j p_j g_j)); push = sum_t mask_t b_t sum_j g_j^2 / count``, where
    g = dH/dz of each token and b_t is the method's bonus for an entropy of 1 nat and a coefficient of 1.
    The policy gradient alone changes the entropy by `pull`, a bonus with coefficient 1 by `push`. The
    coefficient ``-pull / push`` therefore keeps the entropy where it is. Both averages are those of
    `with_terms`; rows without measured slopes count as 0 in both. Clipping, penalties, and the parameters
    that tokens share are ignored.

    Source: ours. The two directions are the gradients of the policy loss and of the entropy.
    """
    slopes = tokens.slopes
    if slopes is None or method.bonus is None:
        return 0 * tokens.mask.sum(), 0 * tokens.mask.sum()
    with torch.no_grad():
        pull = host_mean(tokens.advantages * tokens.weight * (slopes.target - slopes.mean))
        per_nat = method.bonus(replace(tokens, coef=1.0, entropy=torch.ones_like(tokens.entropy)))
        push = masked_sum(per_nat * slopes.square, tokens.mask) / count
    return pull, push


def _name(part: str, method: Method) -> str:
    return f"{part} of method {method.name!r}"


def _per_token(part: str, method: Method, values: Tensor, tokens: Tokens) -> Float[Tensor, "batch tokens"]:
    return checked_values(_name(part, method), values, tokens.mask.shape, "(batch, tokens)")


def _per_completion(
    part: str, method: Method, values: Tensor, rollouts: Rollouts
) -> Float[Tensor, "groups size"]:
    return checked_values(_name(part, method), values, rollouts.rewards.shape, "(groups, size)")


def masked_sum(
    values: Float[Tensor, "batch tokens"], mask: Float[Tensor, "batch tokens"]
) -> Float[Tensor, ""]:
    """Return the sum of the values where the mask is 1, in the unit of the values."""
    return (values * mask).sum()
