"""Answers compared kind by kind."""

import pytest

from aent.tasks.math.comparing import is_readable, is_same, spelling
from aent.tasks.math.reading import read


def same(gold, given, form="any"):
    return is_same(read(gold, upright=True), read(given), form)


@pytest.mark.parametrize(
    ("gold", "given"),
    [
        ("50", r"50\%"),
        (r"50\%", "0.5"),
        (r"\frac{1}{3}", "0.333333"),  # six digits
        ("2,3", "3,2"),
        (r"\{2,3\}", "3, 2"),
        ("(1,2)", "1, 2"),
        (r"(-\infty, 3)", "x < 3"),
        ("x = 5", "5"),
        ("5", "2 + 3 = 5"),
        ("52_8", "52"),
        ("3", "3 apples"),
        (r"6 \text{ feet}", r"72 \text{ inches}"),
        (r"\text{(C)}", "C"),
        (r"\begin{pmatrix} 2 \\ 3 \end{pmatrix}", r"\begin{bmatrix}2\\3\end{bmatrix}"),
        ("x + y = 3", "2x + 2y = 6"),
        ("x < y", "y > x"),
    ],
)
def test_same(gold, given):
    assert same(gold, given)


@pytest.mark.parametrize(
    ("gold", "given"),
    [
        (r"\frac{1}{3}", "0.33"),
        ("2,3", "2"),
        ("2,3", "2,2"),
        ("(1,2)", "(2,1)"),
        ("[1,2)", "(1,2]"),
        ("4", r"\leq 4"),
        ("4", "5 = 4"),
        ("52_8", "52_9"),
        (r"3 \text{ weeks}", r"3 \text{ days}"),
        (r"5 \text{ km}", r"5 \text{ miles}"),
        (r"\text{a}", r"\text{b}"),
        (r"\begin{pmatrix} 2 \\ 3 \end{pmatrix}", r"\begin{pmatrix} 3 \\ 2 \end{pmatrix}"),
        (r"\begin{pmatrix} 2 & 3 \end{pmatrix}", r"\begin{pmatrix} 2 \\ 3 \end{pmatrix}"),
        ("x < y", "x > y"),
    ],
)
def test_different(gold, given):
    assert not same(gold, given)


@pytest.mark.parametrize(
    ("given", "forms"),
    [
        ("21", {"literal", "closed", "any"}),
        (r"\sqrt{441}", {"closed", "any"}),
        ("5 + 7 + 9", {"any"}),
        ("42/2", {"any"}),
        (r"\frac{42}{2}", {"closed", "any"}),
    ],
)
def test_what_may_be_given_for_a_number(given, forms):
    assert {form for form in ("literal", "closed", "any") if same("21", given, form)} == forms


def test_spellings_are_shared():
    def spelled(text):
        return spelling(read(text))

    assert spelled("3, 2") == spelled("2,3") == "2,3"
    assert spelled("(3,2)") == "(3,2)"
    assert spelled(r"\begin{pmatrix} 2 \\ 3 \end{pmatrix}") == "[[2],[3]]"
    assert spelled(r"3 \text{ apples}") == spelled("x = 3") == "3"


def test_gold_answers_must_be_readable_in_all_their_parts():
    assert is_readable(read(r"(\frac{1}{2}, x^2)"))
    assert not is_readable(read(r"(\frac{1}{2}, \frac{)"))
