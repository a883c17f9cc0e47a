"""The result of a comparison: final policies, measured on the same problems and paired by seed."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from aent.errors import InputError
from aent.evaluation import load_results
from aent.evaluation.results import per_problem
from aent.progress import whole
from aent.records import versions, write
from aent.runs.comparison import Comparison, ComparisonFolder, Job
from aent.runs.folder import RunFolder
from aent.statistics import (
    Estimate,
    PerProblem,
    area_under_curve,
    basis,
    mean_over_seeds,
    paired_difference,
)

SHARED = ("pass@", "entropy")
"""What the names of metrics begin with that are reported of further evaluations, as ``pass@1 greedy``."""
SCALARS = ("reward_area", "entropy_kept", "seconds")
"""Metrics with one number per run: mean reward over training, entropy after / before, seconds of training."""
INTERVAL = ("difference", "low", "high")
OUTCOME = "comparison.json"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One metric of one method under one algorithm."""

    algorithm: str
    method: str
    metric: str
    before: float | None
    """Before training; None for what only training produces."""
    value: float
    """Of the final policies, mean over seeds."""
    by_seed: tuple[float, ...]
    difference: Estimate | None
    """From the baseline under the same algorithm, with its 95 % interval as of `paired_difference`."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All entries of a comparison."""

    comparison: Comparison
    entries: Sequence[Entry]

    def save(self, folder: Path) -> None:
        """Write ``comparison.json`` and ``comparison.csv``, each whole or not at all."""
        rows = [_flat(entry) for entry in self.entries]
        content = {"comparison": asdict(self.comparison), "versions": versions(), "entries": rows}
        write(folder / OUTCOME, json.dumps(content, indent=2) + "\n")
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        write(folder / "comparison.csv", text.getvalue())

    @classmethod
    def load(cls, folder: ComparisonFolder) -> "Outcome":
        """Read what `save` wrote to the folder of a comparison.

        Raises:
            InputError: if it is not that.
        """
        file = folder.path / OUTCOME
        try:
            entries = [_entry_of(row) for row in json.loads(file.read_bytes())["entries"]]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{file} was not written by aent compare ({error}); repeat the command of the comparison, "
                "which writes it again"
            ) from None
        return cls(comparison=folder.comparison, entries=entries)

    def find(self, algorithm: str, method: str, metric: str) -> Entry | None:
        """Return one entry; None if it was not measured."""
        key = (algorithm, method, metric)
        return next((e for e in self.entries if (e.algorithm, e.method, e.metric) == key), None)


def outcome(comparison: Comparison, folder: ComparisonFolder) -> Outcome:
    """Read the finished runs of a comparison and pair every method with the baseline."""
    entries: list[Entry] = []
    for algorithm in comparison.algorithms:
        columns = {
            label: [_columns(folder.run(Job(label, algorithm, seed))) for seed in comparison.seeds]
            for label in comparison.entrants
        }
        base = columns[comparison.baseline]
        for label, runs in columns.items():
            against = None if label == comparison.baseline else base
            shared = [m for m in runs[0][1] if all(m in new for _, new in (*runs, *base))]
            entries += [_entry(algorithm, label, metric, runs, against) for metric in shared]
    return Outcome(comparison=comparison, entries=entries)


Columns = Mapping[str, PerProblem]


def _columns(run: RunFolder) -> tuple[Columns, Columns]:
    """Return the metrics of a run before and after, per problem; one number per run counts as one problem."""
    before, after = load_results(run.before), load_results(run.after)
    old, new = (per_problem(e.records, e.config.ks) for e in (before, after))
    for name in (run.recipe.evaluation or {}).get("also") or {}:
        for columns, folder in ((old, run.before), (new, run.after)):
            other = load_results(folder / name)
            further = per_problem(other.records, other.config.ks)
            columns |= {f"{key} {name}": v for key, v in further.items() if key.startswith(SHARED)}
    scalars = _scalars(run.logged_steps())
    if before.metrics["entropy"].value:
        scalars["entropy_kept"] = after.metrics["entropy"].value / before.metrics["entropy"].value
    ones = {k: PerProblem(np.array([scalars[k]]), np.ones(1)) for k in SCALARS if k in scalars}
    return old, {**new, **ones}


def _scalars(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return what the logged steps tell; nothing for a run shorter than its logging interval."""
    if not rows:
        return {}
    return {
        "reward_area": area_under_curve([r["step"] for r in rows], [r["reward"] for r in rows]),
        "seconds": sum(r.get("step_time", 0.0) for r in rows) / len(rows) * rows[-1]["step"],
    }


def _entry(
    algorithm: str,
    label: str,
    metric: str,
    runs: Sequence[tuple[Columns, Columns]],
    baseline: Sequence[tuple[Columns, Columns]] | None,
) -> Entry:
    after = [new[metric] for _, new in runs]
    difference = None
    if baseline is not None:
        difference = paired_difference([new[metric] for _, new in baseline], after)
    return Entry(
        algorithm=algorithm,
        method=label,
        metric=metric,
        before=mean_over_seeds([old[metric] for old, _ in runs]) if metric in runs[0][0] else None,
        value=mean_over_seeds(after),
        by_seed=tuple(mean_over_seeds([run]) for run in after),
        difference=difference,
    )


def _flat(entry: Entry) -> dict[str, Any]:
    """Return an entry as a row of the files, where bounds that do not exist are null."""
    row = asdict(entry)
    value, low, high = row.pop("difference") or (None, None, None)
    if low is not None and math.isnan(low):
        low = high = None
    return row | dict(zip(INTERVAL, (value, low, high), strict=True))


def _entry_of(row: Mapping[str, Any]) -> Entry:
    value, low, high = (row[name] for name in INTERVAL)
    # Earlier versions wrote an interval of no width
    if low is None or (row["metric"] in SCALARS and len(row["by_seed"]) == 1):
        low = high = math.nan
    rest = {k: v for k, v in row.items() if k not in INTERVAL}
    difference = None if value is None else Estimate(value, low, high)
    return Entry(**{**rest, "by_seed": tuple(row["by_seed"]), "difference": difference})


def comparison_table(result: Outcome, algorithm: str, width: int | None = None) -> Table:
    """Return the results under one algorithm: a column per method, differences below the values.

    Args:
        result: of the comparison.
        algorithm: one of it.
        width: of the terminal. If the table is wider, it has a row per metric and method instead. Without a
            width the table takes what it needs, so print it with ``crop=False``.
    """
    table = whole(_columns_of_methods(result, algorithm))
    fits = width is None or (table.width or 0) <= width
    return table if fits else _rows_of_methods(result, algorithm)


def _columns_of_methods(result: Outcome, algorithm: str) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, caption=_caption(result, algorithm, "below"))
    table.add_column("metric", no_wrap=True)
    for heading in ("before training", *result.comparison.entrants):
        table.add_column(escape(heading), justify="right", no_wrap=True)
    for metric in _metrics(result, algorithm):
        entries = [result.find(algorithm, label, metric) for label in result.comparison.entrants]
        start = result.find(algorithm, result.comparison.baseline, metric)
        cells = ("\n".join(filter(None, (_value(entry), _difference(entry)))) for entry in entries)
        table.add_row(escape(metric), _before(start), *cells)
    return table


def _rows_of_methods(result: Outcome, algorithm: str) -> Table:
    caption = _caption(result, algorithm, "beside it")
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, caption=caption)
    for heading in ("metric", "method"):
        table.add_column(heading, overflow="fold")
    for heading in ("before", "after", "difference"):
        table.add_column(heading, justify="right", no_wrap=True)
    for metric in _metrics(result, algorithm):
        for label in result.comparison.entrants:
            entry = result.find(algorithm, label, metric)
            table.add_row(escape(metric), escape(label), _before(entry), _value(entry), _difference(entry))
        table.add_section()
    return table


def _caption(result: Outcome, algorithm: str, where: str) -> str:
    seeds, baseline = len(result.comparison.seeds), escape(result.comparison.baseline)
    policies = f"mean of {seeds} seeds" if seeds > 1 else "one seed"
    without = "" if seeds > 1 else "; a metric with one number per run has none"
    return (
        f"{escape(algorithm)}: final policies, {policies}; {where}, the difference from {baseline} "
        f"with its 95 % interval {basis(seeds)}{without}"
    )


def _metrics(result: Outcome, algorithm: str) -> list[str]:
    return list(dict.fromkeys(e.metric for e in result.entries if e.algorithm == algorithm))


def _before(entry: Entry | None) -> str:
    return "-" if entry is None or entry.before is None else f"{entry.before:{_form(entry.metric)}}"


def _value(entry: Entry | None) -> str:
    return "-" if entry is None else f"{entry.value:{_form(entry.metric)}}"


def _difference(entry: Entry | None) -> str:
    """Return the difference from the baseline, bold if its interval excludes 0; empty if there is none."""
    if entry is None or entry.difference is None:
        return ""
    change, low, high = (f"{number:+{_form(entry.metric)}}" for number in entry.difference)
    if math.isnan(entry.difference.low):
        return change
    sure = entry.difference.low > 0 or entry.difference.high < 0
    text = f"{change} ({low}, {high})"
    return f"[bold]{text}[/bold]" if sure else text


def _form(metric: str) -> str:
    """Return how the values of a metric are printed."""
    return ".1f" if metric in ("length", "seconds") else ".3f"
