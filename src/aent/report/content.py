"""The content of a report as plain values; `aent.report.gather` reads it from folders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from aent.evaluation.results import Record
from aent.statistics import Estimate

Metrics = Mapping[str, Estimate]


@dataclass(frozen=True, kw_only=True)
class Seed:
    """One run."""

    name: str
    """The name of its folder or log."""
    rows: Sequence[Mapping[str, Any]]
    """The logged training steps."""
    before: Metrics | None
    """The evaluation before training; None without one."""
    after: Metrics | None
    """The evaluation after training; None without one."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One method under one algorithm, or one log: a line in every chart, with a band over its seeds."""

    label: str
    seeds: Sequence[Seed]


@dataclass(frozen=True, kw_only=True)
class Result:
    """One metric of one line."""

    label: str
    metric: str
    before: float | None
    """Before training, mean over seeds."""
    value: float
    """After training, mean over seeds."""
    difference: Estimate | None
    """The difference from the section's `reference`, with a 95 % interval; None for the reference itself."""


class Side(NamedTuple):
    """The answers of one policy to the problems whose tokens were recorded."""

    label: str
    records: Sequence[Record]


@dataclass(frozen=True, kw_only=True)
class Section:
    """Everything about one algorithm."""

    algorithm: str
    """Its name in capitals; empty on a page about logs alone."""
    lines: Sequence[Line]
    results: Sequence[Result]
    reference: str
    """What results are compared with, for instance ``none`` or ``before training``."""
    basis: str
    """What the intervals cover, for instance ``over problems``."""
    sides: Sequence[Side]
    """The policies of the token view, the one before training first; empty if no tokens were recorded."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """The content of a page."""

    title: str
    facts: Mapping[str, str]
    notes: Sequence[str]
    """Sentences about what is missing or unfinished."""
    sections: Sequence[Section]
    configs: Mapping[str, str]
    """Recipes and settings: YAML text by file name."""
    versions: Mapping[str, str]
