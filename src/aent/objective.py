"""Where a method meets the policy-gradient loss.

This is the only place that writes ``- coef * entropy``. With `coef` > 0 the optimiser, which minimises,
is pulled towards higher entropy.
"""

from jaxtyping import Float
from torch import Tensor


def masked_sum(
    values: Float[Tensor, "batch tokens"], mask: Float[Tensor, "batch tokens"]
) -> Float[Tensor, ""]:
    """Sum of the values where the mask is 1 (the same unit as the values)."""
    return (values * mask).sum()


def with_bonus(
    policy_loss: Float[Tensor, ""],
    entropy: Float[Tensor, "batch tokens"],
    mask: Float[Tensor, "batch tokens"],
    *,
    coef: float,
    tokens: float,
) -> Float[Tensor, ""]:
    """Add the entropy bonus to a policy loss.

    ``loss = policy_loss - coef * sum_t mask_t H_t / tokens``, H in nats.

    With `tokens` the number of unmasked tokens behind one optimiser step, the bonus is the mean entropy
    per token however the step is cut into micro-batches and ranks.

    Source: arXiv 2509.03493, the AEnt objective L_PO + lambda * H~ (there maximised).
    """
    return policy_loss - coef * masked_sum(entropy, mask) / tokens
