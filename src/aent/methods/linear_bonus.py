"""linear-bonus: the classic bonus, with a coefficient that decays in a straight line."""

from aent.controllers import Linear
from aent.method import Method


def linear_bonus(*, start: float = 0.01, end: float = 0.0, steps: int) -> Method:
    """Reward entropy with a coefficient that decays in a straight line.

    ``loss = policy_loss - coef * H(pi); coef = start + (end - start) * min(1, updates / steps)`` in nats.

    Source: general practice. It starts at the customary coefficient of A3C (arXiv 1602.01783) and ends
    without a bonus after `steps` updates, which you choose.
    """
    return Method(name="linear-bonus", controller=Linear(start=start, end=end, steps=steps))
