"""Tables of the study, as a terminal shows them."""

import io

from rich.console import Console

from aent.study.tables import comparison_table, plain_table, sweep_table


def printed(table):
    """The cells of each row that is printed."""
    text = io.StringIO()
    Console(file=text, width=160).print(table)
    lines = text.getvalue().splitlines()
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]


def row(method, **fields):
    levels = {
        "reward": 0.5,
        "reward_low": 0.4,
        "reward_high": 0.6,
        "gain": -0.1,
        "gain_low": -0.2,
        "gain_high": 0.05,
    }
    paper = {"paper_reward": None, "paper_gain": None, "per_seed": [0.25, 0.75]}
    return {"method": method, "optimal": 15, "varied": "prior", "value": 0.003, **levels, **paper, **fields}


def test_comparison():
    rows = [row("none", gain=0.0), row("entropy", paper_reward=0.36, paper_gain=0.12)]
    assert printed(comparison_table(rows)) == [
        ["15", "none", "0.500 [0.400, 0.600]", "-", "-", "-", "0.25 0.75"],
        ["15", "entropy", "0.500 [0.400, 0.600]", "0.36", "-0.100 [-0.200, +0.050]", "0.12", "0.25 0.75"],
    ]


def test_sweep():
    assert printed(sweep_table("prior", [row("none"), row("clamped")])) == [
        ["15", "prior", "0.003", "none", "0.500 [0.400, 0.600]", "-"],
        ["15", "prior", "0.003", "clamped", "0.500 [0.400, 0.600]", "-0.100 [-0.200, +0.050]"],
    ]


def test_plain():
    assert printed(plain_table("bias", [{"kept": 12, "best": 0.14161}])) == [["12", "0.1416"]]


def test_a_narrow_terminal_cuts_nothing_off():
    text = io.StringIO()
    narrow = Console(file=text, width=60)
    rows = [row("clamped, band", paper_reward=0.36, paper_gain=0.12)]
    for table in (comparison_table(rows), sweep_table("prior", rows), plain_table("bias", rows)):
        narrow.print(table)
    assert "…" not in text.getvalue()
