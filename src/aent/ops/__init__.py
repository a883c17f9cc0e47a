"""Log-probability and entropy of each token, from logits or from hidden states; several backends."""

from aent.ops.autograd import Backend
from aent.ops.doors import BACKENDS, linear_token_loss, linear_token_stats, token_stats
from aent.ops.slopes import EntropySlopes, entropy_slopes, logit_slopes
from aent.ops.stats import TokenLoss, TokenStats

__all__ = [
    "BACKENDS",
    "Backend",
    "EntropySlopes",
    "TokenLoss",
    "TokenStats",
    "entropy_slopes",
    "linear_token_loss",
    "linear_token_stats",
    "logit_slopes",
    "token_stats",
]
