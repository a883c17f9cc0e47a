"""``aent methods``: the ways of controlling entropy."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aent.errors import InputError, unknown
from aent.methods.catalog import REQUIRED, Entry, entry, factories

HELP = "usage: aent methods [NAME]\n\nList the methods; with a NAME, its formula, defaults, source and code."

HEADINGS = {
    "none": "Baselines",
    "aent": "Entropy bonuses with a coefficient that moves",
    "siren": "Other terms in the loss",
    "unlikeliness": "Rewards and advantages of completions",
    "entropy-advantage": "Advantages and penalties of single tokens",
    "clip-higher": "Clipping of the ratio",
}
"""Headings, each under the name of the method that it stands before in the order of `METHODS`."""


def main(argv: Sequence[str]) -> int:
    """Print all methods, or one in full."""
    if "-h" in argv or "--help" in argv:
        print(HELP)
        return 0
    if len(argv) > 1:
        raise InputError(f"aent methods takes one NAME or none, got {len(argv)}: {', '.join(argv)}")
    console = Console()
    if argv:
        _print_one(console, argv[0])
        return 0
    for heading, entries in groups():
        console.print(_table(heading, entries))
    console.print("Several at once: aent methods stack. A default that is missing must be given.")
    return 0


def groups() -> Iterator[tuple[str, list[Entry]]]:
    """Yield each heading with its methods; ``stack`` has none."""
    sections: dict[str, list[Entry]] = {}
    heading = ""
    for name in factories():
        heading = HEADINGS.get(name, heading)
        if name != "stack":
            sections.setdefault(heading, []).append(entry(name))
    yield from sections.items()


def defaults(method: Entry) -> str:
    """Return the arguments of a method with their defaults; what has none must be given."""
    arguments = method.defaults.items()
    return ", ".join(name if value is REQUIRED else f"{name}={value}" for name, value in arguments)


def _table(heading: str, entries: Sequence[Entry]) -> Table:
    table = Table(title=heading, title_justify="left", show_lines=True, expand=True)
    table.add_column("name", no_wrap=True)
    table.add_column("what it does, in nats", ratio=3, overflow="fold")
    table.add_column("arXiv", no_wrap=True)
    table.add_column("defaults", ratio=2, overflow="fold")  # a number that is cut is another number
    for method in entries:
        sources = "\n".join(method.sources)
        table.add_row(method.name, escape(method.formula), sources or "-", defaults(method) or "-")
    return table


def _print_one(console: Console, name: str) -> None:
    if name not in factories():
        raise unknown("method", name, factories())
    method = entry(name)
    console.print(f"[bold]{name}[/bold]\n", highlight=False)
    console.print(method.doc, markup=False, highlight=False)
    console.print(f"\ndefaults: {defaults(method) or '-'}", markup=False, highlight=False)
    console.print(f"code: {method.module}.{method.function}", highlight=False)
