"""Where a method meets the policy-gradient loss: one function for each place, in the order they act.

1. rollouts: `rollout_advantages` sees the rewards of a batch of rollouts, once.
2. forward: `token_advantages` and `clip_edges` see the tokens of a micro-batch, before the host makes its
   loss of them.
3. loss: `with_terms` adds to what the host made. This is the only place that writes ``- coef * entropy``:
   with `coef` > 0 the optimiser, which minimises, is pulled towards higher entropy.
4. measurement: `measure_weights` says how much each token counts in the entropy that the controller is shown.

What is not here: how the coefficient moves (`aent.controllers`), what the entropy is (`aent.ops`), and the
policy-gradient loss itself, which stays the host's.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from aent.method import Edge, Method, Rollouts, Tokens


def changed_rewards(method: Method, rollouts: Rollouts) -> Float[Tensor, "groups size"]:
    """Return the method's rewards in place of the ones in `rollouts`, or those themselves."""
    return rollouts.rewards if method.rewards is None else method.rewards(rollouts)


def rollout_advantages(
    method: Method,
    rollouts: Rollouts,
    baseline: Callable[[Float[Tensor, "groups size"]], Float[Tensor, "groups size"]],
) -> Float[Tensor, "groups size"]:
    """Advantages of a batch of rollouts: the method's, or the algorithm's `baseline` of its rewards."""
    rollouts = replace(rollouts, rewards=changed_rewards(method, rollouts))
    if method.group_advantages is not None:
        return method.group_advantages(rollouts)
    return baseline(rollouts.rewards)


def token_advantages(method: Method, tokens: Tokens) -> Float[Tensor, "batch tokens"]:
    """Advantages of single tokens, without gradient."""
    if method.token_advantages is None:
        return tokens.advantages
    with torch.no_grad():
        return method.token_advantages(tokens)


def clip_edges(method: Method, tokens: Tokens) -> tuple[Edge, Edge]:
    """Where the ratio is clipped, [1 - low, 1 + high]: the method's edges, or the host's."""
    if method.clip is None:
        return tokens.clip
    with torch.no_grad():
        return method.clip(tokens)


def with_terms(
    policy_loss: Float[Tensor, ""],
    method: Method,
    tokens: Tokens,
    *,
    host_mean: Callable[[Float[Tensor, "batch tokens"]], Float[Tensor, ""]],
    count: float,
) -> Float[Tensor, ""]:
    """Add what a method adds to the loss of a micro-batch.

    ``loss = policy_loss + host_mean(penalty) - sum_t mask_t bonus_t / count``

    `host_mean` averages over tokens as the host does with its own loss. With `count` the number of
    unmasked tokens behind one optimiser step, the bonus is a mean per token however the step is cut into
    micro-batches and ranks.
    """
    loss = policy_loss
    if method.penalty is not None:
        loss = loss + host_mean(method.penalty(replace(tokens, entropy=tokens.entropy.detach())))
    if method.bonus is not None and method.controller is not None and tokens.coef != 0:
        loss = loss - masked_sum(method.bonus(tokens), tokens.mask) / count
    return loss


def measure_weights(method: Method, tokens: Tokens) -> Float[Tensor, "batch tokens"]:
    """Weight of each token in ``sum_t weight_t * H_t / sum_t weight_t``, what the controller is shown.

    The sums go over all tokens behind an update of the controller; without a `measure` of the method's,
    every token that is not masked counts once.
    """
    if method.measure is None:
        return tokens.mask
    with torch.no_grad():
        return method.measure(tokens) * tokens.mask


def first_order_effect(
    method: Method,
    tokens: Tokens,
    *,
    host_mean: Callable[[Float[Tensor, "batch tokens"]], Float[Tensor, ""]],
    count: float,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """What a step does to the mean entropy, per unit of step in the logits: (pull, push); 0 without slopes.

    ``pull = host_mean(A (g_t - sum_j p_j g_j)); push = sum_t mask_t b_t sum_j g_j^2 / count``, g = dH/dz of
    each token and b_t the method's bonus for 1 nat at a coefficient of 1. The policy gradient alone changes
    the entropy by `pull`, a bonus with coefficient 1 by `push`, so that the coefficient ``-pull / push``
    keeps it where it is. Both averages are those of `with_terms`; rows that were not measured count as 0 in
    both. Clipping, a penalty, and what tokens share through the parameters are left out.

    Source: ours; the two directions are the gradients of the policy's loss and of the entropy.
    """
    slopes = tokens.slopes
    if slopes is None or method.bonus is None:
        return 0 * tokens.mask.sum(), 0 * tokens.mask.sum()
    with torch.no_grad():
        pull = host_mean(tokens.advantages * tokens.weight * (slopes.target - slopes.mean))
        per_nat = method.bonus(replace(tokens, coef=1.0, entropy=torch.ones_like(tokens.entropy)))
        push = masked_sum(per_nat * slopes.square, tokens.mask) / count
    return pull, push


def masked_sum(
    values: Float[Tensor, "batch tokens"], mask: Float[Tensor, "batch tokens"]
) -> Float[Tensor, ""]:
    """Sum of the values where the mask is 1 (the same unit as the values)."""
    return (values * mask).sum()
