"""``aent methods``: the ways of controlling entropy."""

import inspect
import re
import sys
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aent.errors import unknown
from aent.methods import METHODS

HELP = "usage: aent methods [NAME]\n\nList the methods; with a NAME, its formula, defaults, source and code."

FORMULA = re.compile(r"``(.+?)``", re.DOTALL)
"""The first thing in double backticks of a method's docstring."""
ARXIV = re.compile(r"\b\d{4}\.\d{5}\b")


def main(argv: Sequence[str]) -> int:
    """Print all methods, or one in full."""
    if "-h" in argv or "--help" in argv:
        print(HELP)
        return 0
    console = Console()
    if argv:
        _print_one(console, argv[0])
    else:
        single = [name for name in METHODS if name != "stack"]
        for module, names in groupby(single, lambda name: METHODS[name].__module__):
            console.print(_table(module, list(names)))
        console.print("Several at once: aent methods stack. A default that is missing must be given.")
    return 0


def formula(factory: Callable[..., Any]) -> str:
    """Return the formula of a method, on one line."""
    found = FORMULA.search(inspect.getdoc(factory) or "")
    return " ".join(found[1].split()) if found else ""


def source(factory: Callable[..., Any]) -> str:
    """Return the arXiv numbers of a method, one a line."""
    _, _, text = (inspect.getdoc(factory) or "").partition("Source:")
    return "\n".join(dict.fromkeys(ARXIV.findall(text)))


def defaults(factory: Callable[..., Any]) -> str:
    """Return the arguments of a method with their defaults; what has none must be given."""
    parameters = inspect.signature(factory).parameters.values()
    return ", ".join(p.name if p.default is p.empty else f"{p.name}={p.default}" for p in parameters)


def _table(module: str, names: Sequence[str]) -> Table:
    heading = (inspect.getdoc(sys.modules[module]) or "").splitlines()[0]
    table = Table(title=heading, title_justify="left", show_lines=True, expand=True)
    table.add_column("name", no_wrap=True)
    table.add_column("what it does, in nats", ratio=3)
    table.add_column("arXiv", no_wrap=True)
    table.add_column("defaults", ratio=2)
    for name in names:
        made = METHODS[name]
        table.add_row(name, escape(formula(made)), source(made) or "-", defaults(made) or "-")
    return table


def _print_one(console: Console, name: str) -> None:
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    factory = METHODS[name]
    console.print(f"[bold]{name}[/bold]\n", highlight=False)
    console.print(inspect.getdoc(factory) or "", markup=False, highlight=False)
    console.print(f"\ndefaults: {defaults(factory) or '-'}", markup=False, highlight=False)
    console.print(f"code: {factory.__module__}.{factory.__name__}", highlight=False)
