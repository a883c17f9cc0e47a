"""The figures of a calibration as a table."""

import math
from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.table import Table

from aent.calibration.reading import Reading
from aent.progress import whole
from aent.statistics import Figure

CAPTION = (
    "entropy: nats per token. left out: probability outside the subset. pull, push: change of the entropy\n"
    "by the policy gradient and by a bonus of coefficient 1, per unit of step in the logits. hold: -pull /\n"
    "push, the coefficient that undoes the pull. ±: standard error over prompts.\n"
)


def readings_table(readings: Mapping[str, Reading]) -> Table:
    """Return one row per subset, with standard errors, never squeezed: print it with ``crop=False``."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("subset", "entropy", "left out, %", "pull x 1000", "push x 1000", "hold"):
        table.add_column(heading, justify="left" if heading == "subset" else "right", no_wrap=True)
    for name, each in readings.items():
        figures = (each.entropy, 1), (each.dropped, 100), (each.pull, 1e3), (each.push, 1e3), (each.hold, 1)
        table.add_row(name, *(rounded(figure, scale) for figure, scale in figures))
    return whole(table)


def rounded(figure: Figure, scale: float) -> str:
    """Return a figure with its error.

    It is rounded to its third digit or the second of its error, whichever comes first, and to at most 4
    decimals.
    """
    value, error = figure.value * scale, figure.error * scale
    if error == 0 or value == 0:
        return f"{value:.3g}"
    digits = max(0, min(4, 1 - _magnitude(error), 2 - _magnitude(value)))
    return f"{value:.{digits}f}±{error:.{digits}f}"


def _magnitude(number: float) -> int:
    return math.floor(math.log10(abs(number)))
