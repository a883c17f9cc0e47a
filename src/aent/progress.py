"""The progress bar of everything that takes a while; lines and tables that are printed as they are."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

_WIDE = 100_000
"""Columns of a console that no table is too wide for."""


def progress_bar(console: "Console") -> "Progress":
    """Return a bar that is shown only on a terminal: redrawn in place, it would fill a file or a notebook."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not _redraws(console),
    )


def _redraws(console: "Console") -> bool:
    """Return whether escape codes move the cursor here.

    A notebook's shell commands claim it: its kernel sets ``FORCE_COLOR``, and ``!command`` runs on a
    pseudo-terminal. The other variables that a kernel sets give it away.
    """
    in_notebook = "JPY_PARENT_PID" in os.environ or "inline" in os.environ.get("MPLBACKEND", "")
    return console.is_terminal and console.file.isatty() and not in_notebook


def counter(bar: "Progress", title: str) -> Callable[[int, int], None]:
    """Add a line to a bar and return what moves it, called with the done and the total."""
    task = bar.add_task(title, total=None)
    return lambda done, total: bar.update(task, completed=done, total=total)


def hush() -> None:
    """Silence the progress bars of other libraries, which say nothing useful about small local files."""
    import datasets
    from transformers.utils import logging

    datasets.disable_progress_bars()
    logging.disable_progress_bar()


def whole(table: "Table") -> "Table":
    """Give a table the width that it takes, so that a console does not squeeze it and cut numbers off.

    Print it with ``crop=False``.
    """
    from rich.console import Console

    table.width = Console(width=_WIDE, height=1).measure(table).maximum
    return table


def say(console: "Console", text: str) -> None:
    """Print text as it is: paths with brackets, and lines longer than the terminal."""
    console.print(text, highlight=False, soft_wrap=True, markup=False)
