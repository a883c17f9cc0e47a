"""mai-clip: the upper clip widens while entropy is below a target."""

from aent.controllers import Steps
from aent.errors import InputError
from aent.method import Edge, Method, Tokens


def mai_clip(
    *, epsilon: float = 0.6, delta: float = 0.25, widest: float = 2.5, target: float = 0.3
) -> Method:
    """Widen the upper clip step by step while entropy is below a target, and narrow it above.

    ``1 - epsilon <= r <= 1 / (1 - epsilon) + k; k <- clip(k + delta * sign(target - H), 0, widest)``, with r
    the ratio of a token and H in nats, that of the controller's last window. k starts at 0, where the range
    is symmetric in log r.

    Source: MAI's adaptive clip, with its values. The publication was not at hand, so there is no arXiv
    number here.

    Raises:
        InputError: for epsilon outside [0, 1), a negative delta or a negative widest.
    """
    if not 0 <= epsilon < 1:
        raise InputError(f"epsilon={epsilon} must be at least 0 and below 1: ratios stay above 1 - epsilon")

    def edges(tokens: Tokens) -> tuple[Edge, Edge]:
        return epsilon, 1 / (1 - epsilon) + tokens.coef - 1

    return Method(
        name="mai-clip",
        clip=edges,
        bonus=None,
        controller=Steps(coef=0.0, target=target, delta=delta, coef_min=0.0, coef_max=widest),
    )
