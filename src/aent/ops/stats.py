"""What is known of the policy at one token."""

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
    """Clamped entropy: that of the policy renormalised on the subset."""
    full_entropy: Float[Tensor, "*batch"]
    """Entropy of the full policy. A measurement: it never carries gradient.

    With ``subset=Full()`` `entropy` is the same number, and does.
    """


class TokenLoss(NamedTuple):
    """A loss that is a sum over tokens, and what was measured on the way."""

    loss: Float[Tensor, ""]
    """The sum; it alone carries gradient."""
    stats: TokenStats
    """Measurements, without gradient."""
