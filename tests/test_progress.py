"""The progress bar, on a terminal and elsewhere."""

import io
import subprocess
import sys

import pytest
from rich.console import Console

from aent.progress import counter, progress_bar


def test_elsewhere_than_on_a_terminal_nothing_is_printed():
    out = io.StringIO()
    with progress_bar(Console(file=out)) as bar:
        assert list(bar.track([1, 2], description="work")) == [1, 2]
    assert out.getvalue() == ""


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("out", "variables", "drawn"),
    [
        (Terminal, {"TERM": "xterm"}, True),
        (Terminal, {"TERM": "xterm", "JPY_PARENT_PID": "7"}, False),  # !aent ... in a notebook
        (Terminal, {"TERM": "xterm", "MPLBACKEND": "module://matplotlib_inline.backend_inline"}, False),
        (io.StringIO, {"TERM": "xterm", "FORCE_COLOR": "1"}, False),  # %%bash, or a log of CI
        (Terminal, {"TERM": "dumb"}, False),
    ],
)
def test_a_bar_is_drawn_only_where_it_can_be_redrawn(out, variables, drawn, monkeypatch):
    for name in ("TERM", "FORCE_COLOR", "JPY_PARENT_PID", "MPLBACKEND", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    file = out()
    with progress_bar(Console(file=file)) as bar:
        counter(bar, "work")(1, 2)
        bar.refresh()
    assert ("work" in file.getvalue()) == drawn
    assert ("\x1b" in file.getvalue()) == drawn


def test_a_counter_moves_its_own_line():
    with progress_bar(Console(file=io.StringIO(), force_terminal=True)) as bar:
        first, second = counter(bar, "first"), counter(bar, "second")
        first(3, 10)
        second(1, 2)
        assert [(task.description, task.completed, task.total) for task in bar.tasks] == [
            ("first", 3, 10),
            ("second", 1, 2),
        ]


def test_nothing_heavy_is_imported_before_it_is_needed():
    code = (
        "import sys, aent.progress, aent.errors\n"
        "print(sorted({'torch', 'rich', 'numpy', 'transformers', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
