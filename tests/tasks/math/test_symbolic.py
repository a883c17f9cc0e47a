"""Expressions in LaTeX; in the test these run without the grading process around them."""

import pytest

from aent.tasks.math import symbolic
from aent.tasks.math.symbolic import is_equal, is_readable, ratio_sign, spelling


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("(x+1)^2", "x^2+2x+1", True),
        ("(x+1)^2", "x^2+2x+2", False),
        (r"\frac{\sqrt{4}}{4}", r"\frac{1}{2}", True),
        (r"\frac{1}{2^{98}}", r"\frac{1}{2^{99}}", False),  # equal in six decimals
        (r"\sin^2(x)+\cos^2(x)", "1", True),
        (r"\sqrt{x^2}", "x", False),  # -x below 0
        ("AB", "AC", False),
        ("i^2", "-1", True),
    ],
)
def test_equal_everywhere(one, other, equal):
    assert is_equal(one, other, 0) is equal


def test_constants_may_differ_by_the_tolerance():
    assert is_equal("3.14", r"\pi", 0.01)
    assert not is_equal("3.14", r"\pi", 0.001)


@pytest.mark.parametrize(
    ("one", "other", "sign"),
    [("x-3", "2x-6", 1), ("x-3", "3-x", -1), ("x-3", "x-4", 0), ("x", "x^2", 0)],
)
def test_relations_are_equal_up_to_a_constant(one, other, sign):
    assert ratio_sign(one, other) == sign


def test_unreadable_text_is_no_expression():
    assert not is_readable(r"\frac{")
    assert spelling(r"\frac{") is None
    assert not is_equal(r"\frac{", r"\frac{", 0)


def test_one_spelling_of_many():
    assert spelling(r"\frac{2}{4}") == spelling(r"\frac{1}{2}") == "1/2"


@pytest.mark.parametrize("given", [r"\infty2", r"2 \cdot \infty", r"\frac{1}{0}"])
def test_infinity_is_no_finite_number(given, monkeypatch):
    monkeypatch.setattr(symbolic, "verify", lambda *_, **__: True)  # which was seen to confuse them
    assert not is_equal(r"\pi", given, 0.0)
    assert is_equal(r"\infty", r"2 \cdot \infty", 0.0)
