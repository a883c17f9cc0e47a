"""The result of a comparison: final policies, measured on the same problems and paired by seed."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from aent.errors import InputError
from aent.evaluation import load_results
from aent.evaluation.results import per_problem
from aent.records import versions, write
from aent.runs.comparison import Comparison, ComparisonFolder, Job
from aent.runs.folder import RunFolder
from aent.statistics import Estimate, PerProblem, area_under_curve, mean_over_seeds, paired_difference

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
    """From the baseline under the same algorithm, with its 95 % interval over seeds and problems."""


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
    row = asdict(entry)
    difference = row.pop("difference")
    return row | dict(zip(INTERVAL, difference or (None, None, None), strict=True))


def _entry_of(row: Mapping[str, Any]) -> Entry:
    interval = [row[name] for name in INTERVAL]
    rest = {k: v for k, v in row.items() if k not in INTERVAL}
    difference = None if interval[0] is None else Estimate(*interval)
    return Entry(**{**rest, "by_seed": tuple(row["by_seed"]), "difference": difference})


def comparison_table(result: Outcome, algorithm: str) -> Table:
    """Return the methods under one algorithm: each value, and below it the difference from the baseline."""
    metrics = list(dict.fromkeys(e.metric for e in result.entries if e.algorithm == algorithm))
    seeds = len(result.comparison.seeds)
    caption = (
        f"{algorithm}: final policies, mean of {seeds} seeds; below, the difference from "
        f"{result.comparison.baseline} with its 95 % interval over seeds and problems"
    )
    table = Table(box=SIMPLE_HEAD, show_edge=False, caption=caption)
    table.add_column("metric", no_wrap=True)
    table.add_column("before training", justify="right", no_wrap=True)
    for label in result.comparison.entrants:
        table.add_column(label, justify="right", no_wrap=True)
    for metric in metrics:
        cells = [_cell(result.find(algorithm, m, metric)) for m in result.comparison.entrants]
        start = result.find(algorithm, result.comparison.baseline, metric)
        before = "-" if start is None or start.before is None else f"{start.before:{_form(metric)}}"
        table.add_row(metric, before, *cells)
    return table


def _cell(entry: Entry | None) -> str:
    if entry is None:
        return "-"
    form = _form(entry.metric)
    value = f"{entry.value:{form}}"
    if entry.difference is None:
        return value
    change, low, high = (f"{number:+{form}}" for number in entry.difference)
    sure = entry.difference.low > 0 or entry.difference.high < 0
    return f"{value}\n{'[bold]' if sure else ''}{change} ({low}, {high}){'[/bold]' if sure else ''}"


def _form(metric: str) -> str:
    """Return how the values of a metric are printed."""
    return ".1f" if metric in ("length", "seconds") else ".3f"
