"""The progress bar, on a terminal and elsewhere."""

import io
import subprocess
import sys

from rich.console import Console

from aent.progress import counter, progress_bar


def test_elsewhere_than_on_a_terminal_nothing_is_printed():
    out = io.StringIO()
    with progress_bar(Console(file=out)) as bar:
        assert list(bar.track([1, 2], description="work")) == [1, 2]
    assert out.getvalue() == ""


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
