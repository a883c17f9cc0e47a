"""The kinds of answers."""

import pytest

from aent.tasks.math.kinds import Expression, Several


@pytest.mark.parametrize(
    ("kind", "ordered"),
    [("list", False), ("union", False), ("{}", False), ("()", True), ("[)", True), ("ratio", True)],
)
def test_pairs_and_ratios_have_an_order_and_sets_have_none(kind, ordered):
    assert Several(kind, (Expression("a"), Expression("b"))).ordered is ordered
