"""lagrangian: projected dual ascent on an entropy constraint."""

from aent.controllers import Lagrangian
from aent.method import Method


def lagrangian(*, target: float, coef: float, lr: float) -> Method:
    """Maximize the reward subject to an entropy of at least `target`, by projected dual ascent.

    ``loss = policy_loss - coef * H(pi); coef <- max(0, coef + lr * (target - H(pi)))`` in nats.

    This is the exact multiplier step for a constant target: no dead zone, no ceiling. The coefficient stays
    at 0 while the constraint holds with room to spare.

    Source: general practice. No setting was published, so you must give all arguments.
    """
    return Method(name="lagrangian", controller=Lagrangian(coef=coef, target=target, lr=lr))
