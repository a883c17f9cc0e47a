"""none: the host's loss, unchanged."""

from aent.method import Method


def none() -> Method:
    """Leave the host's loss unchanged: ``loss = policy_loss``."""
    return Method(name="none")
