"""cosine-bonus: the classic bonus, with a coefficient that decays along half a cosine."""

from aent.controllers import Cosine
from aent.method import Method


def cosine_bonus(*, start: float = 0.01, end: float = 0.0, steps: int) -> Method:
    """Reward entropy with a coefficient that decays along half a cosine.

    ``loss = policy_loss - coef * H(pi); coef = end + (start - end) * (1 + cos(pi * min(1, updates / steps)))
    / 2`` in nats.

    Source: general practice. It starts at the customary coefficient of A3C (arXiv 1602.01783) and ends
    without a bonus after `steps` updates, which you choose.
    """
    return Method(name="cosine-bonus", controller=Cosine(start=start, end=end, steps=steps))
