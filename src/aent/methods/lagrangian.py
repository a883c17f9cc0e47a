"""lagrangian: projected dual ascent on an entropy constraint."""

from aent.controllers import Lagrangian
from aent.method import Method


def lagrangian(*, target: float, coef: float, lr: float) -> Method:
    """Maximise the reward subject to an entropy of at least `target`, by projected dual ascent.

    ``loss = policy_loss - coef * H(pi); coef <- max(0, coef + lr * (target - H(pi)))`` in nats.

    The exact multiplier step of a constant target: no dead zone, no ceiling, and the coefficient rests
    at 0 while the constraint holds with room to spare.

    Source: general; no published setting, so all arguments are yours to give.
    """
    return Method(name="lagrangian", controller=Lagrangian(coef=coef, target=target, lr=lr))
