"""Logs of runs made elsewhere as lines of a report, alone or beside runs of our own."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from aent.logs.read import Log
from aent.report.content import Content, Line, Section, Seed
from aent.report.parts import short_names

NOTE = (
    "From logs alone: {names}. A log does not say on which task, prompts and sampling settings a run was "
    "trained, so its curves may differ for these reasons too. It holds the reward on training prompts and no "
    "pass@k. A step is whatever its host counts as one."
)


def with_logs(content: Content | None, logs: Mapping[Path, Log]) -> Content:
    """Return a page with a line for each log in every section; without `content` a page of logs alone.

    Args:
        content: the page about runs of our own.
        logs: the logs by the paths that the user gave.
    """
    taken = [line.label for section in content.sections for line in section.lines] if content else []
    lines = [_line(label, log) for label, log in zip(short_names(logs, taken), logs.values(), strict=True)]
    names = ", ".join(line.label for line in lines)
    page = content or _alone(names)
    read = "; ".join(f"{line.label}: {_words(log)}" for line, log in zip(lines, logs.values(), strict=True))
    return replace(
        page,
        title=f"{page.title}, {names}" if content else page.title,
        facts={**page.facts, "Logs": read},
        notes=[*page.notes, NOTE.format(names=names)],
        sections=[replace(section, lines=[*section.lines, *lines]) for section in page.sections],
    )


def _alone(names: str) -> Content:
    section = Section(algorithm="", lines=[], results=[], reference="", basis="", sides=[])
    return Content(title=names, facts={}, notes=[], sections=[section], configs={}, versions={})


def _line(label: str, log: Log) -> Line:
    return Line(label=label, seeds=[Seed(name=label, rows=log.rows, before=None, after=None)])


def _words(log: Log) -> str:
    first, last = (log.rows[at]["step"] for at in (0, -1))
    return f"{log.kind} ({log.host}), {len(log.rows)} logged rows, steps {first:g} to {last:g}"
