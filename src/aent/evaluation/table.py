"""Evaluations as tables: one alone, or two side by side."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from aent.errors import InputError
from aent.evaluation.metrics import Estimate, paired_bootstrap
from aent.evaluation.results import Evaluation, per_problem


def results_table(evaluation: Evaluation) -> Table:
    """Return the metrics of an evaluation with 95 % intervals."""
    table = _table(evaluation, "value")
    for name, estimate in evaluation.metrics.items():
        table.add_row(name, _show(name, estimate))
    return table


def before_after_table(before: Evaluation, after: Evaluation) -> Table:
    """Return the metrics of both evaluations with 95 % intervals, and what changed.

    The change is `paired_bootstrap` over problems; one whose interval leaves out 0 is bold.

    Raises:
        InputError: where the two were not measured on the same problems.
    """
    if _problems(before) != _problems(after):
        raise InputError(
            "the two evaluations have different problems, so they cannot be paired. "
            "Run both with the same task, split and number of problems."
        )
    ks = [k for k in before.config.ks if k in after.config.ks]
    old, new = per_problem(before.records, ks), per_problem(after.records, ks)
    table = _table(before, "before", "after", "change")
    for name in old:
        if name in before.metrics and name in after.metrics:
            change = paired_bootstrap(old[name], new[name], seed=before.config.seed)
            sure = change.low > 0 or change.high < 0
            table.add_row(
                name,
                _show(name, before.metrics[name]),
                _show(name, after.metrics[name]),
                _show(name, change, "+"),
                style="bold" if sure else None,
            )
    return table


def _table(evaluation: Evaluation, *headings: str) -> Table:
    caption = f"{len(_problems(evaluation))} problems, 95 % intervals"
    # Without outer edges four columns fit a terminal of 80.
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, caption=caption)
    table.add_column("metric", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _problems(evaluation: Evaluation) -> dict[int, object]:
    return {record.problem: record.prompt for record in evaluation.records}


def _show(name: str, estimate: Estimate, sign: str = "") -> str:
    form = f"{sign}.1f" if name == "length" else f"{sign}.3f"
    value, low, high = (format(number, form) for number in estimate)
    return f"{value} [{low}, {high}]"
