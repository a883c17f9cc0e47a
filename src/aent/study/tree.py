"""Token-level MDPs small enough to enumerate: all responses of H tokens over A actions, in float64.

A state is a prefix, and the policy has a row of logits for each prefix. A whole response gets one reward in
[0, 1]. Arrays hold many MDPs at once: at depth t there are A^t prefixes, and the children of prefix s are the
entries ``s * A .. s * A + A - 1`` of depth t + 1. Entropies are in nats.

The two propositions are from arXiv 2509.03493, whose full text was not available to us. Their statements here
are the ones that the docstrings prove.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Levels = Sequence[Float[np.ndarray, "mdps prefixes actions"]]
"""One array per depth, 0 to H - 1."""


class Values(NamedTuple):
    """The value of a policy, for each MDP."""

    reward: Float[np.ndarray, " mdps"]
    """V, the expected reward."""
    entropy: Float[np.ndarray, " mdps"]
    """H(pi), the sum over the H tokens of the expected entropy (nats)."""


def softmax(logits: Levels) -> list[Float[np.ndarray, "mdps prefixes actions"]]:
    """Return the policies."""
    return [_softmax(level) for level in logits]


def reach(policy: Levels) -> list[Float[np.ndarray, "mdps prefixes"]]:
    """Return the probability of reaching each prefix; the last entry is that of each whole response."""
    levels = [np.ones((len(policy[0]), 1))]
    for level in policy:
        levels.append((levels[-1][..., None] * level).reshape(len(level), -1))
    return levels


def evaluate(policy: Levels, rewards: Float[np.ndarray, "mdps responses"]) -> Values:
    """Return expected reward and entropy: ``V = Σ_y P(y) r(y)``, ``H(pi) = -Σ_y P(y) log P(y)``.

    The entropy of the response is the expected sum of the entropies of its tokens (chain rule).
    """
    whole = reach(policy)[-1]
    logs = np.log(whole, out=np.zeros_like(whole), where=whole > 0)
    return Values((whole * rewards).sum(1), -(whole * logs).sum(1))


def gradient(policy: Levels, rewards: Float[np.ndarray, "mdps responses"], coef: float) -> Levels:
    """Return the exact gradient of ``V + coef * H(pi)`` with respect to the logits.

    ``d/d logit_{s,a} = d(s) pi(a|s) (Q(s,a) - coef * log pi(a|s) - W(s))``, where d(s) is the probability of
    reaching s, ``W(s) = Σ_a pi(a|s) (Q(s,a) - coef * log pi(a|s))``, and Q(s,a) is the W of the child, or the
    reward after the last token.
    """
    levels, worth, arrive = [], rewards, reach(policy)
    for level, d in zip(reversed(policy), reversed(arrive[:-1]), strict=True):
        q = worth.reshape(level.shape) - coef * np.log(level)
        worth = (level * q).sum(-1)
        levels.append(d[..., None] * level * (q - worth[..., None]))
    return levels[::-1]


def norm(levels: Levels) -> Float[np.ndarray, " mdps"]:
    """Return the Euclidean norm over all logits."""
    return np.sqrt(sum((level**2).sum((1, 2)) for level in levels))


def soft_optimum(
    rewards: Float[np.ndarray, "mdps responses"], actions: int, horizon: int, coef: float
) -> list[Float[np.ndarray, "mdps prefixes actions"]]:
    """Return the policy that maximizes ``V + coef * H(pi)``.

    It draws a response with probability proportional to ``exp(r / coef)``. For each prefix this is
    ``softmax(Q / coef)``, where ``Q`` is the soft value ``coef * log Σ exp(Q / coef)`` of the child.
    """
    levels, worth = [], rewards
    for depth in reversed(range(horizon)):
        q = worth.reshape(len(rewards), actions**depth, actions) / coef
        levels.append(_softmax(q))
        worth = coef * _logsumexp(q)
    return levels[::-1]


def gradient_bound(
    policy: Levels, rewards: Float[np.ndarray, "mdps responses"]
) -> Float[np.ndarray, " mdps"]:
    """Return the paper's bound of ``||grad V||``, proposition 1: ``2 H(pi)``.

    Proof for rewards in [0, 1], with a smaller constant. At a state with values Q in [0, 1] the gradient is
    ``d(s) pi(a) (Q(a) - V)``. ``Σ_a pi(a) |Q(a) - V|`` is convex in Q, so it is largest for some Q in {0, 1}.
    There it is ``2 v (1 - v)``, where v is the probability of Q = 1, and ``2 v (1 - v) <= h(v) / (2 log 2)``,
    where h is the entropy of a coin. No grouping of actions can raise that above the entropy of pi. Sum over
    the states and use that the 2-norm is at most the 1-norm: ``||grad V|| <= H(pi) / (2 log 2) = 0.72
    H(pi)``, see `GRADIENT_CONSTANT`.
    """
    return 2 * evaluate(policy, rewards).entropy


GRADIENT_CONSTANT = 1 / (2 * np.log(2))
"""The smallest c with ``||grad V||_1 <= c H(pi)``: a fair coin with one side rewarded reaches it."""


def bias_bound(
    rewards: Float[np.ndarray, "mdps responses"], actions: int, horizon: int, coef: float
) -> Float[np.ndarray, " mdps"]:
    """Return the entropy bias of proposition 2: ``coef * H log(|A| / |A*|^(1/H))``, |A*| optimal responses.

    It bounds V* - V of the regularized optimum. Proof: the uniform policy over the optimal responses has ``V
    + coef * H(pi) = V* + coef * log|A*|``. The optimum has at least that, and its entropy is at most H
    log|A|.
    """
    best = (rewards == rewards.max(1, keepdims=True)).sum(1)
    return coef * (horizon * np.log(actions) - np.log(best))


def stationary_bound(
    policy: Levels, rewards: Float[np.ndarray, "mdps responses"], coef: float
) -> Float[np.ndarray, " mdps"]:
    """Return the bound of V* - V(pi) for any policy, proposition 2: ``eps^2 / (2 coef C) + bias``.

    eps is the norm of the gradient of ``V + coef * H`` at pi, the bias is that of `bias_bound`, and C is
    ours:

    ``C = min_s (d(s) min_a pi(a|s))^2 / d*(s)``, where d and d* are the probabilities of reaching s under pi
    and under the regularized optimum.

    Proof: with Q and W of `gradient`, the performance difference is ``W* - W <= Σ_s d*(s) coef
    KL(pi(.|s) || softmax(Q(s,.) / coef))``. The KL divergence of two softmaxes is at most half the square of
    the largest difference of their logits, up to a constant: here ``|Q(s,a) - coef log pi(a|s) - W(s)| /
    coef = |gradient| / (coef d(s) pi(a|s))``. Then bound W* - V* and W - V as in `bias_bound`. (This is the
    argument of Mei et al., arXiv 2005.06392, lemma 15, on a tree.)
    """
    actions, horizon = policy[0].shape[-1], len(policy)
    eps = norm(gradient(policy, rewards, coef))
    visited = reach(policy)[:-1]
    wanted = reach(soft_optimum(rewards, actions, horizon, coef))[:-1]
    smallest = [
        ((d * level.min(-1)) ** 2 / star).min(1)
        for d, star, level in zip(visited, wanted, policy, strict=True)
    ]
    constant = np.min(smallest, axis=0)
    optimization = np.full_like(eps, np.inf)  # if C is 0, or so small that it rounds to 0, there is no bound
    np.divide(eps**2, 2 * coef * constant, out=optimization, where=constant > 0)
    return optimization + bias_bound(rewards, actions, horizon, coef)


def _softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _logsumexp(z: np.ndarray) -> np.ndarray:
    top = z.max(-1, keepdims=True)
    return (top + np.log(np.exp(z - top).sum(-1, keepdims=True)))[..., 0]
