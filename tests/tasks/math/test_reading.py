"""What kind of answer a text is."""

from fractions import Fraction

import pytest

from aent.tasks.math.kinds import Based, Expression, Matrix, Measured, Named, Number, Relation, Several, Words
from aent.tasks.math.reading import MAX_LENGTH, read, words_of


def number(value, **more):
    return Number(Fraction(value), **more)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("42", number(42)),
        ("-1.5", number("-1.5")),
        (r"\frac{3}{4}", number("3/4")),
        ("1 3/4", number("7/4")),
        ("84/2", number(42, divided="slash")),
        (r"50\%", number(50, percent=True)),
        (r"0.1\overline{6}", number("1/6")),  # .1666... = (16 - 1) / 90
        ("52_8", Based("52", 8)),
        (r"(52)_{\text{8}}", Based("52", 8)),
        (r"\text{(C)}", Words("c")),
        ("Monday", Words("monday")),
        ("(1, 2)", Several("()", (number(1), number(2)))),
        ("[1, 2)", Several("[)", (number(1), number(2)))),
        ("1, 2", Several("list", (number(1), number(2)))),
        ("3:4", Several("ratio", (number(3), number(4)))),
        (r"1 \pm 2", Several("list", (Expression("1 +2"), Expression("1 -2")))),
        (r"\begin{pmatrix} 2 \\ 3 \end{pmatrix}", Matrix("pmatrix", ((number(2),), (number(3),)))),
        (r"5 \ne 4", Relation((r"\ne",), ("5", "4"))),
        ("x^2+1", Expression("x^{2}+1")),
    ],
)
def test_kinds(text, answer):
    reading = read(text, upright=True)
    if isinstance(answer, Expression):
        assert isinstance(reading, Expression)
    else:
        assert reading == answer


def test_a_name_is_no_part_of_the_value():
    reading = read("x = 5")
    assert isinstance(reading, Named)
    assert (reading.name, reading.answer) == ("x", number(5))


def test_an_inequality_is_an_interval():
    reading = read(r"1 < x \le 2")
    assert isinstance(reading, Named)
    assert reading.answer == Several("(]", (number(1), number(2)))


def test_units_are_read_with_their_size():
    feet, inches = read(r"6 \text{ feet}"), read(r"72 \text{ inches}")
    assert isinstance(feet, Measured)
    assert isinstance(inches, Measured)
    assert feet.unit is not None
    assert inches.unit is not None
    assert feet.unit.size / inches.unit.size == 12
    assert feet.unit.powers == inches.unit.powers


def test_nothing_and_too_much_are_not_read():
    assert read("") is None
    assert read(" . ") is None
    assert read("1+" * MAX_LENGTH) is None


def test_letters_of_words():
    assert words_of(r"\text{The Cat's}") == "the cats"
