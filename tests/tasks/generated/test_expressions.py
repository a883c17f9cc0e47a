import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aent.tasks.generated.expressions import MAX_DEPTH, MAX_DIGITS, MAX_LENGTH, Expression, parse


@pytest.mark.parametrize(
    ("text", "value", "numbers"),
    [
        ("7", 7, (7,)),
        ("2+3*4", 14, (2, 3, 4)),  # product first: 2 + 12
        ("(2+3)*4", 20, (2, 3, 4)),
        ("9-4-3", 2, (9, 4, 3)),  # from the left: 5 - 3
        ("9-(4-3)", 8, (9, 4, 3)),
        ("2-3*4", -10, (2, 3, 4)),
        (" ( 12 + 3 ) * 2 ", 30, (12, 3, 2)),
        ("((((5))))", 5, (5,)),
        ("007+1", 8, (7, 1)),
    ],
)
def test_values(text, value, numbers):
    assert parse(text) == Expression(value, numbers)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "3+",
        "+3",
        "-3",
        "3*-2",
        "3 5",
        "(3",
        "3)",
        "()",
        "3(5)",
        "3/1",
        "2**3",
        "9**9**9",
        "2^3",
        "1e3",
        "0x1F",
        "1_0",
        "3.0",
        "3+5=8",
        "__import__('os').system('true')",
        "().__class__",
        "lambda:3",
        "3\x00",
        "3#5",
        "3\u2003",  # white space that is not ASCII
        "٣+٥",  # Arabic-Indic digits, which str.isdigit accepts
        "３+５",  # full-width digits
        "3²",
        "3−5",  # a minus sign that is not a hyphen
        "1" * (MAX_DIGITS + 1),
        "1+" * (MAX_LENGTH // 2) + "1",
        "(" * (MAX_DEPTH + 1) + "3" + ")" * (MAX_DEPTH + 1),
        "(" * 100_000,
    ],
)
def test_anything_else_is_refused(text):
    assert parse(text) is None


def test_the_bounds_themselves_are_allowed():
    assert parse("9" * MAX_DIGITS) == Expression(999_999, (999_999,))
    assert parse("(" * MAX_DEPTH + "3" + ")" * MAX_DEPTH) == Expression(3, (3,))


def test_the_largest_product_is_exact():
    assert parse("*".join(["999999"] * 28)).value == 999_999**28  # 195 characters


ATOM = st.integers(0, 99).map(lambda n: (str(n), n))


def _sum_of(part):
    """A bracketed sum of products of parts, with its value."""
    product = st.lists(part, min_size=1, max_size=3)
    signed = st.tuples(st.sampled_from("+-"), product)
    return st.tuples(product, st.lists(signed, max_size=3)).map(_written)


def _written(terms):
    first, rest = terms
    text, value = _product(first)
    for sign, factors in rest:
        written, product = _product(factors)
        text += sign + written
        value += product if sign == "+" else -product
    return f"({text})", value


def _product(factors):
    return "*".join(text for text, _ in factors), math.prod(value for _, value in factors)


@given(st.recursive(ATOM, _sum_of, max_leaves=12).filter(lambda e: len(e[0]) <= MAX_LENGTH))
@settings(deadline=None, max_examples=200)
def test_precedence_and_brackets_of_random_expressions(expression):
    text, value = expression
    parsed = parse(text)
    assert parsed is not None
    assert parsed.value == value
    assert parsed.numbers == tuple(map(int, re.findall("[0-9]+", text)))


@given(st.text(max_size=40))
@settings(deadline=None, max_examples=200)
def test_no_text_breaks_the_parser(text):
    parsed = parse(text)
    assert parsed is None or set(text) <= set("0123456789+-*()") | set(" \t\n\r\f\v")
