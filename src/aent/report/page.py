"""The report: one HTML page without scripts or anything from the network."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aent.errors import InputError
from aent.records import write
from aent.report.chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, pass_chart, training_charts
from aent.report.content import Content, Result, Section
from aent.report.tokens import EDGES, PER_PAGE, problems
from aent.report.visible import visible

if TYPE_CHECKING:
    from jinja2 import Environment

SIGN = '<meta name="generator" content="aent report">'
"""Marks a file as a report, so that only reports are replaced."""

# Okabe and Ito's colors, distinguishable with any kind of color vision; their blue and black are lighter on a
# dark page. Symbols and dashes distinguish the lines too, so nothing depends on color alone.
COLORS = ("var(--blue)", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "var(--ink)")
COLORS_ON_PAPER = {
    "card": "#ffffff", "ink": "#1d2127", "soft": "#5b636e", "grid": "#eceef0", "blue": "#0072b2"
}  # fmt: skip
"""The variables of page.css that charts use, as on a light page."""
DASHES = ("none", "7 3", "2 3")
SYMBOLS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z",  # circle
    "M-3.6-3.6h7.2v7.2h-7.2Z",  # square
    "M0-4.8L4.5 3.4H-4.5Z",  # triangle
    "M0-5L5 0L0 5L-5 0Z",  # diamond
    "M-4.6-3.2H4.6L0 4.6Z",  # triangle, upside down
    "M-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3Z",  # cross
    "M-4.5-1.5L0-5L4.5-1.5L2.8 4.2H-2.8Z",  # pentagon
)

FRAME = {"w": WIDTH, "h": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM}
"""The sizes of a chart, by their names in the templates."""
NAMES = {
    "score": ("Mean score", "on unseen problems"),
    "entropy": ("Entropy of the answers", "nats per token"),
    "length": ("Length of the answers", "tokens"),
    "reward_area": ("Reward over training", "mean height of the learning curve"),
    "entropy_kept": ("Entropy kept", "after / before training"),
    "seconds": ("Training time", "seconds"),
}
TILES = ("pass@1", "pass@", "entropy", "length")
"""Metrics at the top of a page about one line; ``pass@`` is the one of the largest k."""


class Style(NamedTuple):
    """The appearance of a line."""

    color: str
    dash: str
    symbol: str


class Row(NamedTuple):
    """A row of a table of results."""

    slot: int
    label: str
    before: str
    value: str
    difference: str
    interval: str
    sure: bool
    whisker: tuple[float, float, float] | None
    """Low, value and high of the difference, from -1 to 1; None without an interval."""


class Table(NamedTuple):
    """The results of all lines in one metric."""

    metric: str
    title: str
    unit: str
    rows: Sequence[Row]


def write_page(content: Content, path: Path) -> None:
    """Write a report, whole or not at all; an earlier report is replaced.

    Raises:
        InputError: if a file that is not a report has this name, or the report cannot be written.
    """
    text = page(content)
    try:
        if path.exists() and SIGN not in path.read_text("utf-8", errors="replace")[:2000]:
            raise InputError(f"{path} exists and is not a report of aent; give another --output, or move it")
        if not path.parent.is_dir():
            raise NotADirectoryError(f"there is no folder {path.parent}")
        write(path, text)
    except OSError as error:
        raise InputError(
            f"the report cannot be written: {error}. Give another place with --output"
        ) from error


def page(content: Content) -> str:
    """Return the page. Everything that comes from a run is data: it is escaped, and `visible`."""
    return (
        environment()
        .get_template("page.html.jinja")
        .render(
            content=content,
            sections=[_section(section, len(content.sections)) for section in content.sections],
            styles=styles(max(len(section.lines) for section in content.sections)),
            css=(Path(__file__).parent / "page.css").read_text("utf-8"),
            sign=SIGN,
            frame=FRAME,
            levels=_levels(),
        )
    )


def environment() -> "Environment":
    """Return the environment of the templates, which escapes what it is given and makes it `visible`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def styles(count: int) -> list[Style]:
    """Return one style per line; up to 21, no two look alike even without color."""
    n = len(COLORS)
    return [Style(COLORS[i % n], DASHES[i // n % 3], SYMBOLS[i % n]) for i in range(count)]


def _section(section: Section, sections: int) -> Mapping[str, Any]:
    charts = training_charts(section.lines)
    passes = pass_chart(section.lines)
    tables = _tables(section)
    alone = len(section.lines) == 1
    return {
        "section": section,
        "charts": [*charts, *([passes] if passes else [])],
        "tables": tables,
        "tiles": _tiles(tables) if alone else [],
        "alone": alone,
        "targets": any(trace.target for chart in charts for trace in chart.traces),
        "seeds": max(len(line.seeds) for line in section.lines),
        "problems": problems(section.sides, PER_PAGE // sections),
    }


def _tables(section: Section) -> list[Table]:
    slots = {line.label: slot for slot, line in enumerate(section.lines)}
    metrics = dict.fromkeys(result.metric for result in section.results)
    return [_table(m, [r for r in section.results if r.metric == m], slots) for m in metrics]


def _table(metric: str, results: Sequence[Result], slots: Mapping[str, int]) -> Table:
    name, _, evaluation = metric.partition(" ")  # the name of a further evaluation follows the metric
    title, unit = NAMES.get(name, (name, "majority vote" if name.startswith("maj") else "share solved"))
    title = f"{title}, {evaluation}" if evaluation else title
    ends = [abs(end) for r in results for end in r.difference or () if not math.isnan(end)]
    scale = max(ends, default=0.0) or 1.0
    return Table(metric, title, unit, [_row(r, slots[r.label], scale) for r in results])


def _row(result: Result, slot: int, scale: float) -> Row:
    form = ".1f" if result.metric.startswith(("length", "seconds")) else ".3f"
    before = "" if result.before is None else f"{result.before:{form}}"
    difference, interval, sure, whisker = "", "", False, None
    if result.difference is not None:
        value, low, high = result.difference
        difference = _signed(value, form)
        if not math.isnan(low):
            interval = f"{_signed(low, form)} to {_signed(high, form)}"
            sure = low > 0 or high < 0
            whisker = (low / scale, value / scale, high / scale)
    return Row(slot, result.label, before, f"{result.value:{form}}", difference, interval, sure, whisker)


def _signed(number: float, form: str) -> str:
    return f"{number:+{form}}".replace("-", "\N{MINUS SIGN}")


def _tiles(tables: Sequence[Table]) -> list[Table]:
    tiles = []
    headline = [table for table in tables if " " not in table.metric]
    for name in TILES:
        matching = [
            t for t in headline if t.metric == name or (name == "pass@" and t.metric.startswith(name))
        ]
        tiles += [t for t in matching[-1:] if t not in tiles]
    return tiles


def _levels() -> list[str]:
    between = [f"{a:g} to {b:g}" for a, b in pairwise(EDGES)]
    return [f"under {EDGES[0]:g}", *between, f"{EDGES[-1]:g} and more"]
