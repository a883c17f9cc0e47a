from fractions import Fraction

import pytest

from aent.tasks.math.quantities import number_of, split_unit, unit_before, unit_of


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("72", 72),
        ("-3", -3),
        ("+2", 2),
        ("1,250", 1250),
        ("1,234,567.50", Fraction(2469135, 2)),
        ("$18", 18),
        (r"\$18.00", 18),
        ("18.", 18),
        (".5", Fraction(1, 2)),
        ("0.1", Fraction(1, 10)),  # exactly, not the nearest float
        (r"10{,}000", 10_000),
        ("1e9", 10**9),
        ("-2.5E-3", Fraction(-1, 400)),
        (r"1.6 \times 10^{-19}", Fraction(16, 10**20)),
        (r"1.6\cdot10^5", 160_000),
        ("3 * 10**2", 300),
        ("10^{-5}", Fraction(1, 10**5)),
        ("1,2", None),  # a pair, not a number
        ("1,2500", None),
        ("3/4", None),
        ("2e", None),
        ("1e9999", None),  # too large to write down
        (r"2 \times 3", None),
        ("٣", None),
        ("9" * 5000, None),
        ("", None),
    ],
)
def test_number_of(answer, value):
    assert number_of(answer) == value


@pytest.mark.parametrize(
    ("text", "size", "powers"),
    [
        ("cm", Fraction(1, 100), {"m": 1}),
        (r"\mathrm{~km} / \mathrm{s}", 1000, {"m": 1, "s": -1}),
        (r"\mathrm{kcal} \mathrm{m}^{-2} \mathrm{yr}^{-1}", 1000, {"cal": 1, "m": -2, "year": -1}),
        ("meters per second squared", 1, {"m": 1, "s": -2}),
        (r"\mu\mathrm{m}", Fraction(1, 10**6), {"m": 1}),
        ("Angstroms", Fraction(1, 10**10), {"m": 1}),
        (r"^{\prime \prime}", Fraction(1, 3600), {"deg": 1}),
        (r"^{\circ}", 1, {"deg": 1}),
        (r"{ }^{\circ} \mathrm{C}", 1, {"degC": 1}),
        ("ergs/s", Fraction(1, 10**7), {"kg": 1, "m": 2, "s": -3}),
        ("J/s", 1, {"kg": 1, "m": 2, "s": -3}),
        ("min", 60, {"s": 1}),  # not milli-inches
        ("cents", Fraction(1, 100), {"dollar": 1}),
    ],
)
def test_a_unit_is_a_size_and_powers(text, size, powers):
    unit = unit_of(text)
    assert (unit.size, dict(unit.powers)) == (size, powers)
    assert unit_of(rf"\text{{ {unit.text} }}") == unit  # as plain words it is the same


@pytest.mark.parametrize("text", ["", "apples", "x", "cm and more", "of m", "+ 3", "m^{x}", "%"])
def test_what_is_no_unit(text):
    assert unit_of(text) is None


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("$ parsecs away.", "parsecs"),
        (r" \mathrm{~m}=\lambda_{\text {ball }}", "m"),
        (" m\n\\]", "m"),
        (r" \mathrm{~g} \mathrm{~B}$", "g"),  # grams of boron
        (" dollar per bushel.", None),  # half a unit is none
        (" times that of the Sun", None),
        (", m", None),
        ("", None),
    ],
)
def test_the_unit_before_other_words(text, unit):
    found = unit_before(text)
    assert (found and found.text) == unit


@pytest.mark.parametrize(
    ("answer", "parts"),
    [
        (r"560 \text{ nm}", ("560", "nm")),
        (r"5.47\times 10^5 \, \mathrm{m/s}", (r"5.47\times 10^5", "m s^-1")),
        (r"\frac{1}{2}~\mathrm{m}", (r"\frac{1}{2}", "m")),
        (r"41.8^\circ", ("41.8", "deg")),
        ("560 nm", ("560", "nm")),
        ("560x", ("560x", None)),
        (r"\frac{37}{4} m", (r"\frac{37}{4} m", None)),  # a variable
        (r"\text{ m}", (r"\text{ m}", None)),  # nothing before it
        ("72", ("72", None)),
    ],
)
def test_an_answer_splits_into_body_and_unit(answer, parts):
    body, unit = split_unit(answer)
    assert (body, unit and unit.text) == parts


def test_letters_after_a_number_are_no_unit_where_only_upright_ones_are():
    assert split_unit("2m", upright=True) == ("2m", None)
    assert split_unit(r"2 \text{ m}", upright=True)[0] == "2"
