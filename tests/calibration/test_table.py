import io

from rich.console import Console

from aent.calibration.reading import Reading
from aent.calibration.table import readings_table, rounded
from aent.statistics import Figure


def test_figures_are_rounded_to_their_third_digit_or_the_second_of_their_error():
    """The error's second digit is the third, fourth or first decimal; the value's third digit the first."""
    assert rounded(Figure(0.6214, 0.0062), 1) == "0.621±0.006"
    assert rounded(Figure(0.00071, 0.000026), 100) == "0.0710±0.0026"
    assert rounded(Figure(-0.00554, 0.000996), 1000) == "-5.54±1.00"
    assert rounded(Figure(0.0485, 0.001), 1000) == "48.5±1.0"
    assert rounded(Figure(1234.5, 10.0), 1) == "1234±10"
    assert rounded(Figure(0.0, 0.0), 100) == "0"


def test_a_narrow_terminal_cuts_no_number_off():
    long = Figure(-0.00214, 0.0029)
    reading = Reading(entropy=long, dropped=long, pull=long, push=long, hold=long, size=0.5, prompts=4)
    narrow = Console(file=io.StringIO(), width=40)
    narrow.print(readings_table({"nucleus-99": reading}), crop=False)
    heading, _, row = narrow.file.getvalue().splitlines()
    assert " ".join(heading.split()) == "subset entropy left out, % pull x 1000 push x 1000 hold"
    assert row.split() == ["nucleus-99", "-0.0021±0.0029", "-0.21±0.29", *["-2.1±2.9"] * 2, "-0.0021±0.0029"]


def test_units_are_those_of_the_headings():
    reading = Reading(
        entropy=Figure(0.5, 0.01),
        dropped=Figure(0.001, 0.0001),
        pull=Figure(-0.004, 0.001),
        push=Figure(0.04, 0.001),
        hold=Figure(0.1, 0.01),
        size=0.5,
        prompts=4,
    )
    table = readings_table({"full": reading})
    cells = {column.header: next(iter(column.cells)) for column in table.columns}
    assert cells == {
        "subset": "full",
        "entropy": "0.500±0.010",
        "left out, %": "0.100±0.010",
        "pull x 1000": "-4.0±1.0",
        "push x 1000": "40.0±1.0",
        "hold": "0.100±0.010",
    }
