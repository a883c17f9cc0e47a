"""Statistics of the policy at one token."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class TokenStats(NamedTuple):
    """Statistics of the policy ``softmax(logits / temperature)``, in nats, one value per token.

    float32; float64 where the input is float64.
    """

    logp: Float[Tensor, "*batch"]
    """Log-probability of the target under the full policy."""
    entropy: Float[Tensor, "*batch"]
    """Clamped entropy: the entropy of the policy renormalized on the subset."""
    full_entropy: Float[Tensor, "*batch"]
    """Entropy of the full policy. This is a measurement and never carries gradient.

    With ``subset=Full()``, `entropy` is the same number and does carry gradient.
    """


class TokenLoss(NamedTuple):
    """A loss summed over tokens, and the statistics measured along the way."""

    loss: Float[Tensor, ""]
    """The sum; only this carries gradient."""
    stats: TokenStats
    """Measurements without gradient."""
