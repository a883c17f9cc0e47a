"""Answers rewritten to one spelling of LaTeX."""

import re

import pytest

from aent.tasks.math.latex import (
    ROW,
    closing_brace,
    closing_bracket,
    plain,
    split_outside,
    squeezed,
    strip_markup,
)


@pytest.mark.parametrize(
    ("answer", "spelled"),
    [
        (r"\dfrac12", r"\frac{1}{2}"),
        (r"\frac{1}2", r"\frac{1}{2}"),
        (r"10,\!080", "10080"),
        ("1,234,567", "1234567"),
        ("(1,234)", "(1,234)"),  # coordinates
        ("1, 234", "1, 234"),  # two numbers
        ("**18**", "18"),
        ("`18`.", "18"),
        (r"\textbf{18}", "18"),
        ("$18$", "18"),
        (r"18^{\text{th}}", "18"),
        (r"x \leq 4", r"x \le 4"),
        ("x != 4", r"x \ne 4"),
        ("2*pi", r"2\cdot \pi"),
        ("sqrt(2+x)", r"\sqrt{2+x}"),
        ("1.5e-3", r"1.5 \times 10^{-3}"),
        ("x^12", "x^{12}"),
        ("½", r"\frac{1}{2}"),
        ("3 and 4", "3 , 4"),
    ],
)
def test_one_spelling(answer, spelled):
    assert plain(answer) == spelled


def test_rows_of_a_matrix_are_kept_apart():
    assert plain(r"\begin{pmatrix}2\\3\end{pmatrix}") == rf"\begin{{pmatrix}}2{ROW}3\end{{pmatrix}}"
    assert plain(r"1 \\ 4") == "1 , 4"


def test_markup_goes_where_it_is_around_the_whole():
    assert strip_markup(" **a** and **b** ") == "**a** and **b**"
    assert strip_markup(r"{\(x\)}.") == "x"


def test_brackets_close():
    assert closing_bracket("(a[b]c)d", 0) == 6
    assert closing_bracket("(a", 0) == -1
    assert closing_brace(r"{a\}b{c}}d", 0) == 8
    assert closing_brace("{a", 0) == -1


def test_splitting_respects_brackets():
    assert split_outside("(1, 2), 3", re.compile(",")) == ["(1, 2)", ",", "3"]


def test_squeezing_removes_what_means_nothing():
    assert squeezed(r"\dfrac{1}{2} \cdot x") == squeezed(r"\frac{1}{2}\,x") == r"\frac12x"
    assert squeezed("1 2") == "1|2"  # not 12
    assert squeezed("To add 5 + 7, do", prose=True) == "||5+7,|"
