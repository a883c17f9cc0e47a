"""What a report shows, as values; `aent.report.from_runs` reads them from folders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from aent.evaluation.results import Record
from aent.statistics import Estimate

Metrics = Mapping[str, Estimate]


@dataclass(frozen=True, kw_only=True)
class Seed:
    """One run."""

    rows: Sequence[Mapping[str, Any]]
    """What was logged, by step."""
    before: Metrics | None
    """The evaluation before training; None where there is none."""
    after: Metrics | None


@dataclass(frozen=True, kw_only=True)
class Line:
    """One method under one algorithm: a line in every chart, with a band over its seeds."""

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
    """From what the section's `reference` says, with a 95 % interval; None for the reference itself."""


class Side(NamedTuple):
    """The answers of one policy to the problems whose tokens were kept."""

    label: str
    records: Sequence[Record]


@dataclass(frozen=True, kw_only=True)
class Section:
    """All that belongs to one algorithm."""

    algorithm: str
    lines: Sequence[Line]
    results: Sequence[Result]
    reference: str
    """What the differences are from, for instance ``none`` or ``before training``."""
    basis: str
    """What the intervals are over."""
    sides: Sequence[Side]
    """The policies of the token view, the one before training first; empty where no tokens were kept."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """A page."""

    title: str
    facts: Mapping[str, str]
    notes: Sequence[str]
    """What is missing or unfinished."""
    sections: Sequence[Section]
    configs: Mapping[str, str]
    """YAML by the name of its file."""
    versions: Mapping[str, str]
