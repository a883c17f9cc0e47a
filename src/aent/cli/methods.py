"""``aent methods``: the ways of controlling entropy."""

import inspect
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from aent.errors import unknown
from aent.methods import METHODS

HELP = "usage: aent methods [NAME]\n\nList the methods; with a NAME, its formula, defaults, source and code."


def main(argv: Sequence[str]) -> int:
    """Print all methods, or one in full."""
    if "-h" in argv or "--help" in argv:
        print(HELP)
        return 0
    console = Console()
    if argv:
        _print_one(console, argv[0])
    else:
        console.print(_table())
    return 0


def _table() -> Table:
    table = Table(title="methods", show_lines=True)
    for column in ("name", "formula (nats)", "paper", "defaults"):
        table.add_column(column, overflow="fold")
    for name, factory in METHODS.items():
        method = factory()
        paper = f"{method.paper.title} (arXiv {method.paper.arxiv})" if method.paper else "-"
        table.add_row(name, method.formula, paper, _defaults(name) or "-")
    return table


def _print_one(console: Console, name: str) -> None:
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    factory = METHODS[name]
    method = factory()
    console.print(f"[bold]{name}[/bold]  {method.formula}", highlight=False)
    console.print(inspect.getdoc(factory) or "", markup=False, highlight=False)
    console.print(f"\ndefaults: {_defaults(name) or '-'}", highlight=False)
    if method.paper:
        console.print(f"paper: {method.paper.title}, arXiv {method.paper.arxiv}", highlight=False)
    console.print(f"code: {factory.__module__}.{factory.__name__}", highlight=False)


def _defaults(name: str) -> str:
    parameters = inspect.signature(METHODS[name]).parameters.values()
    return ", ".join(f"{p.name}={p.default}" for p in parameters)
