"""The data of a report as CSV, and its charts as SVG files."""

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aent.errors import InputError
from aent.records import write_all
from aent.report.chart import HEIGHT, Chart, pass_chart, training_charts
from aent.report.content import Content, Section
from aent.report.page import COLORS_ON_PAPER, FRAME, environment, styles
from aent.report.visible import visible

SIGN = "<!-- aent report -->"
"""Marks a picture as ours, so that only ours are replaced."""
CURVES, RESULTS, LOGGED = "curves.csv", "results.csv", "logged.csv"
CURVE_COLUMNS = (
    "section", "chart", "unit", "line", "x", "value", "low", "high", "target_low", "target_high"
)  # fmt: skip
RESULT_COLUMNS = ("section", "line", "metric", "before", "value", "against", "difference", "low", "high")
HEAD, LEGEND = 40, 16
"""Height of the title, and of one line of the legend, in the units of the SVG."""


def write_export(content: Content, folder: Path) -> None:
    """Write a report's data and charts into a folder, all or nothing; an earlier export is replaced.

    - ``curves.csv``: every point of every chart: the mean over seeds, and the band around it.
    - ``results.csv``: the metrics of the evaluations with their differences and 95 % intervals.
    - ``logged.csv``: every row that the runs logged, not averaged.
    - one SVG per chart.

    The column ``section`` is the algorithm in whose charts a line stands; a log stands in all of them.

    Raises:
        InputError: if the folder holds anything but an earlier export, or cannot be written.
    """
    charts = [(section, chart) for section in content.sections for chart in _charts(section)]
    several = len(content.sections) > 1
    texts = {
        CURVES: _csv(CURVE_COLUMNS, (row for section, chart in charts for row in _points(section, chart))),
        RESULTS: _csv(RESULT_COLUMNS, (row for section in content.sections for row in _results(section))),
        LOGGED: _logged(content.sections),
        **{_name(section, chart, several): picture(chart) for section, chart in charts},
    }
    try:
        earlier = _earlier(folder)
        write_all({folder / name: text for name, text in texts.items()})
        for file in earlier:
            if file.name not in texts:
                file.unlink()
    except OSError as error:
        raise InputError(f"the export cannot be written: {error}. Give another folder to --export") from error


def _earlier(folder: Path) -> list[Path]:
    """Return the files of an earlier export.

    Raises:
        InputError: if the folder holds something else.
    """
    files = list(folder.iterdir()) if folder.exists() else []
    for file in files:
        start = file.read_bytes()[:2000].decode(errors="replace") if file.is_file() else ""
        table = file.name in (CURVES, RESULTS, LOGGED) and start.startswith("section,")
        if not table and not (file.suffix == ".svg" and SIGN in start):
            raise InputError(
                f"--export {folder} holds {file.name}, which no export wrote; give a new or empty folder"
            )
    return files


def _charts(section: Section) -> list[Chart]:
    passes = pass_chart(section.lines)
    return [*training_charts(section.lines), *([passes] if passes else [])]


def _name(section: Section, chart: Chart, several: bool) -> str:
    """Return the name of a picture, such as ``entropy.svg``; with several algorithms, theirs comes first."""
    title = f"{section.algorithm} {chart.title}" if several else chart.title
    return re.sub(r"[^a-z0-9]+", "-", title.replace("@", "-at-").lower()).strip("-") + ".svg"


def picture(chart: Chart) -> str:
    """Return a chart as an SVG of its own, with title and legend, on white."""
    legend = [(curve.label, curve.slot) for curve in chart.curves]
    return environment().get_template("picture.svg.jinja").render(
        chart=replace(chart, tooltips=()),
        legend=legend,
        styles=[
            style._replace(color=_plain(style.color))
            for style in styles(1 + max(slot or 0 for _, slot in legend))
        ],
        css=_css(),
        sign=SIGN,
        frame=FRAME,
        head=HEAD,
        height=HEAD + HEIGHT + LEGEND * len(legend) + 4,
    )  # fmt: skip


def _css() -> str:
    """Return the page's rules for charts, with plain colors: few programs but browsers know ``var()``."""
    rules = (Path(__file__).parent / "page.css").read_text("utf-8").splitlines()
    charts = [rule for rule in rules if re.match(r"svg (text|\.)", rule)]
    return "\n".join(
        [*map(_plain, charts), "svg .title { font-size: 15px; font-weight: 600; fill: #1d2127; }"]
    )


def _plain(css: str) -> str:
    return re.sub(r"var\(--([\w-]+)\)", lambda name: COLORS_ON_PAPER[name[1]], css)


def _points(section: Section, chart: Chart) -> Iterable[Sequence[Any]]:
    for curve in chart.curves:
        start = (section.algorithm, chart.title, chart.unit, curve.label)
        target = curve.target or ([""] * len(curve.x), [""] * len(curve.x))
        columns = (curve.x, curve.y, curve.low, curve.high, *target)
        yield from ((*start, *point) for point in zip(*columns, strict=True))


def _results(section: Section) -> Iterable[Sequence[Any]]:
    for r in section.results:
        against = ("", "", "", "")
        if r.difference is not None:  # bounds that do not exist are empty cells
            against = (section.reference, *("" if math.isnan(part) else part for part in r.difference))
        yield section.algorithm, r.label, r.metric, r.before, r.value, *against


def _logged(sections: Sequence[Section]) -> str:
    rows: list[Mapping[str, Any]] = [
        {"section": section.algorithm, "line": line.label, "run": seed.name, **row}
        for section in sections
        for line in section.lines
        for seed in line.seeds
        for row in seed.rows
    ]
    columns = list(dict.fromkeys(["section", "line", "run", "step", *(key for row in rows for key in row)]))
    return _csv(columns, ([row.get(key) for key in columns] for row in rows))


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return visible(text.getvalue())
