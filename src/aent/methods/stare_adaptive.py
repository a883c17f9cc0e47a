"""STARE with adaptive weights: the further entropy stays from its target, the more the weights differ."""

from jaxtyping import Float
from torch import Tensor

from aent.controllers import SignStep
from aent.errors import InputError
from aent.method import Method, Tokens
from aent.methods.stare import STARE, require_share, surprisal_weights


def stare_adaptive(
    *,
    start: float = 0.1,
    step: float = 0.01,
    most: float = 0.5,
    both: bool = False,
    top: float = 0.1,
    target: float = 0.3,
) -> Method:
    """Reweight the most surprising tokens while entropy is low, with weights that move towards a target.

    ``A_t <- w_t A_t if H < target; w_t = 1 + x for the share `top` of the tokens with A > 0 that have the
    largest surprisal -log pi, 1 - x for that of those with A < 0 if `both`, else 1; x <- clip(x + step *
    sign(target - H), 0, most)``, H in nats. x starts at `start` and also moves while it is not applied.

    Source: arXiv 2606.19236, section 4.4; step, range and start are as in the authors' code. There, W = 1 + x
    and M = 1 - x are two numbers that move alike: from 1.1 and 0.9, by 0.01, within [1, 1.5] and [0.5, 1].
    Their variant C2 is ``both=True``. At H = target, x steps up and is applied here; there it does neither.
    For everything else see `stare`.

    Raises:
        InputError: for `top` outside (0, 1], most outside [0, 1], a start outside [0, most], or a negative
            step.
    """
    require_share(top)
    if not 0 <= most <= 1:
        raise InputError(f"most={most} must be from 0 to 1: 1 - most is the least weight")

    def shaped(tokens: Tokens) -> Float[Tensor, "batch tokens"]:
        if tokens.coef == 0:
            return tokens.advantages
        negative = 1 - tokens.coef if both else 1.0
        return tokens.advantages * surprisal_weights(tokens, 1 + tokens.coef, negative, top)

    return Method(
        name="stare-adaptive",
        token_advantages=shaped,
        bonus=None,
        controller=SignStep(level=start, target=target, delta=step, coef_min=0.0, coef_max=most),
        paper=STARE,
    )
