"""What the methods that change the clipping of the ratio share."""

import math

from jaxtyping import Bool
from torch import Tensor

from aent.method import Tokens
from aent.methods.checks import require_between


def clip_options(epsilon: float, epsilon_high: float) -> dict[str, float]:
    """Return the host's options for clipping the ratio to [1 - epsilon, 1 + epsilon_high].

    Raises:
        InputError: if one is negative.
    """
    require_between("epsilon", epsilon, 0, math.inf)
    require_between("epsilon_high", epsilon_high, 0, math.inf)
    return {"epsilon": epsilon, "epsilon_high": epsilon_high}


def clipped(tokens: Tokens) -> tuple[Bool[Tensor, "batch tokens"], Bool[Tensor, "batch tokens"]]:
    """Return the tokens that the host clips at the low edge and those at the high edge.

    At the low edge ``A < 0 and r < 1 - low``, at the high edge ``A > 0 and r > 1 + high``. Such tokens get
    no policy gradient.
    """
    low, high = tokens.clip
    ratio = tokens.ratio.detach()
    return (
        (tokens.advantages < 0) & (ratio < 1 - low),
        (tokens.advantages > 0) & (ratio > 1 + high),
    )
