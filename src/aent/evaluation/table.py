"""Evaluations as tables: one, several tasks, or before and after."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from aent.errors import InputError
from aent.evaluation.results import Evaluation, per_problem
from aent.statistics import Estimate, PerProblem, paired_bootstrap

MEAN = "mean"
SAME, FEWEST = 0.9, 10
"""Share of the answers, and number of problems, from which on one answer to everything is pointed out."""


def results_table(evaluation: Evaluation) -> Table:
    """Return the metrics of an evaluation with 95 % intervals and standard errors."""
    table = _table(evaluation, "value", "± s.e.", notes=[one_answer(evaluation)])
    errors = evaluation.standard_errors()
    for name, estimate in _metrics(evaluation).items():
        cells = _show(name, estimate), _number(name, errors.get(name))
        table.add_row(name, *cells)
        if name == "pass@1" and evaluation.config.samples > 1:
            table.add_row(f"avg@{evaluation.config.samples}", *cells)
    return table


def summary_table(evaluations: Mapping[str, Evaluation]) -> Table:
    """Return one row per task and the mean over tasks, each number with its standard error.

    All tasks weigh the same. Their errors are independent, so the error of the mean is
    ``sqrt(sum se^2) / tasks``.
    """
    metrics = _shared_scores(evaluations)
    samples = {evaluation.config.samples for evaluation in evaluations.values()}
    names = {"pass@1": f"avg@{samples.pop()}"} if len(samples) == 1 else {}
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, caption="± standard errors over problems")
    table.add_column("task", no_wrap=True)
    for metric in metrics:
        table.add_column(names.get(metric, metric), justify="right", no_wrap=True)
    for task, numbers in summary(evaluations).items():
        cells = (
            f"{value:.3f}" if error is None else f"{value:.3f} ± {_number(metric, error)}"
            for metric, (value, error) in numbers.items()
        )
        table.add_row(task, *cells, style="bold" if task == MEAN else None)
    return table


def summary(evaluations: Mapping[str, Evaluation]) -> dict[str, dict[str, tuple[float, float | None]]]:
    """Return (value, standard error) of every score by task, and of the mean over tasks."""
    metrics = _shared_scores(evaluations)
    rows = {}
    for task, evaluation in evaluations.items():
        errors = evaluation.standard_errors()
        rows[task] = {metric: (evaluation.metrics[metric].value, errors[metric]) for metric in metrics}
    rows[MEAN] = {metric: _mean([row[metric] for row in rows.values()]) for metric in metrics}
    return rows


def _shared_scores(evaluations: Mapping[str, Evaluation]) -> list[str]:
    first, *others = evaluations.values()
    return [name for name in first.metrics if "@" in name and all(name in e.metrics for e in others)]


def _mean(numbers: Sequence[tuple[float, float | None]]) -> tuple[float, float | None]:
    values, errors = zip(*numbers, strict=True)
    error = None if None in errors else math.hypot(*errors) / len(errors)
    return sum(values) / len(values), error


def before_after_table(before: Evaluation, after: Evaluation) -> Table:
    """Return the metrics of both evaluations with 95 % intervals, and their `changes`.

    A change whose interval excludes 0 is bold. A metric of a single problem has no interval.

    Raises:
        InputError: if the two were not measured on the same problems.
    """
    notes = [
        f"{when}: {note}" for when, e in (("before", before), ("after", after)) if (note := one_answer(e))
    ]
    table = _table(before, "before", "after", "change", notes=notes)
    old, new = _metrics(before), _metrics(after)
    for name, change in changes(before, after).items():
        sure = change.low > 0 or change.high < 0
        table.add_row(
            name,
            _show(name, old[name]),
            _show(name, new[name]),
            _show(name, change, "+"),
            style="bold" if sure else None,
        )
    return table


def changes(before: Evaluation, after: Evaluation) -> dict[str, Estimate]:
    """Return after - before of every metric that both have, with a `paired_bootstrap` over problems.

    With a single problem there is nothing to resample: the bounds are NaN.

    Raises:
        InputError: if the two were not measured on the same problems.
    """
    if _problems(before) != _problems(after):
        raise InputError(
            "the two evaluations have different problems, so they cannot be paired. "
            "Run both with the same task, split and number of problems."
        )
    ks = [k for k in before.config.ks if k in after.config.ks]
    old, new = per_problem(before.records, ks), per_problem(after.records, ks)
    return {
        name: _change(old[name], new[name], before.config.seed)
        for name in old
        if name in before.metrics and name in after.metrics
    }


def _change(before: PerProblem, after: PerProblem, seed: int) -> Estimate:
    change = paired_bootstrap(before, after, seed=seed)
    alone = np.count_nonzero((before.weights > 0) & (after.weights > 0)) == 1
    return Estimate(change.value, math.nan, math.nan) if alone else change


def _metrics(evaluation: Evaluation) -> dict[str, Estimate]:
    """Return the metrics; the bounds of those that rest on a single problem are NaN."""
    errors = evaluation.standard_errors()
    alone = [name for name, error in errors.items() if error is None]
    without = {name: Estimate(evaluation.metrics[name].value, math.nan, math.nan) for name in alone}
    return {**evaluation.metrics, **without}


def one_answer(evaluation: Evaluation) -> str:
    """Return a sentence about an answer that nearly all problems get; empty where there is none.

    A policy can earn its reward with the most frequent right answer, whatever the question.
    """
    given = Counter(r.answer for r in evaluation.records if r.answer is not None)
    if len(_problems(evaluation)) < FEWEST or not given:
        return ""
    answer, count = given.most_common(1)[0]
    share = count / len(evaluation.records)
    shown = answer if len(answer) <= 20 else answer[:19] + "…"
    return f"{100 * share:.0f} % of all answers are {shown!r}, whatever the question" if share >= SAME else ""


def _table(evaluation: Evaluation, *headings: str, notes: Iterable[str]) -> Table:
    problems = len(_problems(evaluation))
    size = f"{problems} problems, 95 % intervals" if problems > 1 else "one problem: no interval"
    caption = Text("\n".join([size, *filter(None, notes)]))
    # Without outer edges, four columns fit a terminal of 80 characters.
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, caption=caption)
    table.add_column("metric", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _problems(evaluation: Evaluation) -> dict[int, object]:
    return {record.problem: record.prompt for record in evaluation.records}


def _number(name: str, number: float | None) -> str:
    return "" if number is None else format(number, ".1f" if name == "length" else ".3f")


def _show(name: str, estimate: Estimate, sign: str = "") -> str:
    form = f"{sign}.1f" if name == "length" else f"{sign}.3f"
    value, low, high = (format(number, form) for number in estimate)
    return value if math.isnan(estimate.low) else f"{value} [{low}, {high}]"
