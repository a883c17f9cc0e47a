"""The study's results as tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

Rows = Sequence[Mapping[str, Any]]


def comparison_table(rows: Rows) -> Table:
    """Show the rows of the comparison beside the paper's levels and gains."""
    table = Table(title="average reward at the end, gain over no bonus; 95 % intervals over states")
    for column in ("optimal", "method", "reward", "paper", "gain", "paper", "per seed"):
        table.add_column(column, justify="right", overflow="fold")
    for r in rows:
        table.add_row(
            str(r["optimal"]),
            r["method"],
            _interval(r, "reward", ""),
            _or_dash(r["paper_reward"]),
            "-" if r["method"] == "none" else _interval(r, "gain", "+"),
            _or_dash(r["paper_gain"]),
            " ".join(f"{value:.2f}" for value in r["per_seed"]),
        )
    return table


def sweep_table(name: str, rows: Rows) -> Table:
    """Show the rows of a sweep."""
    table = Table(title=name)
    for column in ("optimal", "varied", "value", "method", "reward", "gain"):
        table.add_column(column, justify="right", overflow="fold")
    for r in rows:
        gain = "-" if r["method"] == "none" else _interval(r, "gain", "+")
        table.add_row(
            str(r["optimal"]), r["varied"], f"{r['value']:g}", r["method"], _interval(r, "reward", ""), gain
        )
    return table


def plain_table(title: str, rows: Rows) -> Table:
    """Show rows as they are, floats with four decimals."""
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column, justify="right", overflow="fold")
    for row in rows:
        table.add_row(*(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()))
    return table


def _interval(row: Mapping[str, Any], key: str, sign: str) -> str:
    return f"{row[key]:{sign}.3f} [{row[f'{key}_low']:{sign}.3f}, {row[f'{key}_high']:{sign}.3f}]"


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
