"""Tables of the long runs, from the rows of long.jsonl."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from aent.errors import InputError
from aent.evaluation.metrics import pass_at_k
from aent.statistics import PerProblem, area_under_curve, mean_over_seeds, paired_difference

START, BASELINE = "start", "none"
Row = Mapping[str, Any]


class Metric(NamedTuple):
    """A quantity of an evaluation, per problem."""

    name: str
    evaluation: str
    k: int
    """Of pass@k; 0 for the majority of all answers."""
    split: str = "test"

    def of(self, row: Row) -> PerProblem:
        """Return the values of one row."""
        stored = row[self.split][self.evaluation]
        correct = np.array(stored["correct"])
        values = pass_at_k(correct, stored["samples"], self.k) if self.k else np.array(stored["maj"])
        return PerProblem(values, np.ones(len(values)))


ONCE, OFTEN = Metric("pass@1", "headline", 1), Metric("pass@16", "headline", 16)
ENDS = (
    ONCE, OFTEN, Metric("maj@16", "headline", 0),
    Metric("pass@1, T = 1", "sampled", 1), Metric("pass@16, T = 1", "sampled", 16),
    Metric("greedy", "greedy", 1),
    Metric("training problems, pass@1", "headline", 1, "train"),
    Metric("training problems, pass@16", "headline", 16, "train"),
)  # fmt: skip


def in_words(row: Row) -> str:
    """Return the heights of an evaluation in one line."""
    return ", ".join(f"{metric.name} {metric.of(row).values.mean():.3f}" for metric in ENDS)


class Curve(NamedTuple):
    """One run: its evaluations in their order, the policy before training first."""

    label: str
    seed: int
    rows: Sequence[Row]

    @property
    def steps(self) -> list[int]:
        return [row["step"] for row in self.rows]

    def means(self, metric: Metric) -> list[float]:
        """Return the height of the curve at each evaluation."""
        return [float(metric.of(row).values.mean()) for row in self.rows]

    def best(self, metric: Metric) -> int:
        """Return the index of the highest evaluation after the start; the first where several are as high."""
        return 1 + int(np.argmax(self.means(metric)[1:]))

    def at_best(self, metric: Metric) -> PerProblem:
        """Return the values of the highest evaluation."""
        return metric.of(self.rows[self.best(metric)])

    def last(self, metric: Metric) -> PerProblem:
        """Return the values of the last evaluation."""
        return metric.of(self.rows[-1])

    def area(self, metric: Metric) -> PerProblem:
        """Return the area under each problem's curve, as its mean height."""
        columns = np.stack([metric.of(row).values for row in self.rows], 1)
        values = np.array([area_under_curve(self.steps[1:], list(column[1:])) for column in columns])
        return PerProblem(values, np.ones(len(values)))

    def mean(self, metric: Metric, last: int = 0) -> PerProblem:
        """Return the mean over the last evaluations; over all after the start without a number."""
        return _averaged([metric.of(row) for row in self.rows[1:][-last:]])

    def reaches(self, metric: Metric, height: float) -> int | None:
        """Return the first evaluated step at which the curve is at least this high; None if it never is."""
        found = (s for s, v in zip(self.steps[1:], self.means(metric)[1:], strict=True) if v >= height)
        return next(found, None)


COURSE: Mapping[str, Callable[[Curve, Metric], PerProblem]] = {
    "best": Curve.at_best,
    "last": Curve.last,
    "mean height of": Curve.area,
}
"""What is taken of the course of a metric."""


def curves(rows: Sequence[Row], recipe: str) -> tuple[dict[str, list[Curve]], list[str]]:
    """Return the complete runs of a recipe by label, plain GRPO first, and a line for each unfinished one."""
    own = [row for row in rows if row["recipe"] == recipe]
    start = [row for row in own if row["label"] == START]
    grouped: dict[tuple[str, int], list[Row]] = {}
    for row in own:
        if row["label"] != START:
            grouped.setdefault((row["label"], row["seed"]), []).append(row)
    complete: dict[str, list[Curve]] = {}
    unfinished: list[str] = []
    for (label, seed), found in sorted(grouped.items(), key=lambda item: (not _plain(item[0][0]), item[0])):
        ordered = sorted(found, key=lambda row: row["step"])
        if ordered[-1]["step"] == length(ordered[-1]["flags"]):
            complete.setdefault(label, []).append(Curve(label, seed, [*start, *ordered]))
        else:
            unfinished.append(f"{label}, seed {seed}: up to step {ordered[-1]['step']}")
    return complete, unfinished


def length(flags: Sequence[str]) -> int:
    """Return how many batches of rollouts a run with these flags takes."""
    values = dict(zip(flags[::2], flags[1::2], strict=True))
    return int(values["--max_steps"]) // int(values.get("--num_iterations", 1))


def _plain(label: str) -> bool:
    return label.partition(".")[0] == BASELINE


def against(rows: Sequence[Row], plain: str) -> list[Row]:
    """Return the rows with this form of plain GRPO as the baseline, in place of `none`."""
    kept = (row for row in rows if plain == BASELINE or row["label"] != BASELINE)
    return [{**row, "label": BASELINE} if row["label"] == plain else row for row in kept]


def tables(rows: Sequence[Row]) -> str:
    """Return everything as Markdown."""
    parts: list[str] = []
    for recipe in dict.fromkeys(row["recipe"] for row in rows):
        complete, unfinished = curves(rows, recipe)
        parts.append(f"### {recipe}")
        if BASELINE in complete:
            parts += [_table(complete, metric) for metric in (ONCE, OFTEN)] + [
                _ends(complete),
                _why(complete),
                *_over_rates(complete),
            ]
        else:
            parts.append("Plain GRPO, which all is compared with, has not come to its end here yet.")
        if unfinished:
            parts.append("Not complete: " + "; ".join(unfinished) + ".")
    return "\n\n".join(parts + _all_tasks(rows))


def choices(rows: Sequence[Row], label: str, last: int = 0) -> str:
    """Compare a label with each other one that its recipes have: what the choice queues decide by.

    They are compared in their `last` evaluations, in all of them without a number.
    """
    found = {recipe: curves(rows, recipe)[0] for recipe in dict.fromkeys(row["recipe"] for row in rows)}
    recipes = [recipe for recipe, complete in found.items() if label in complete]
    if not recipes:
        known = sorted({name for complete in found.values() for name in complete})
        raise InputError(f"no run of {label} is complete here; complete are some of: {', '.join(known)}")
    shared = set.intersection(*(set(found[recipe]) for recipe in recipes)) - {START, label}
    own = [row for row in rows if row["recipe"] in recipes]
    return "\n\n".join(choice(own, label, rival, last) for rival in sorted(shared))


def choice(rows: Sequence[Row], label: str, rival: str, last: int) -> str:
    """Compare two labels in the mean over evaluations, recipes and the seeds that both have."""
    pairs = [
        (found[label][seed], found[rival][seed])
        for recipe in dict.fromkeys(row["recipe"] for row in rows)
        for found in [{name: {c.seed: c for c in own} for name, own in curves(rows, recipe)[0].items()}]
        for seed in sorted(found[label].keys() & found[rival].keys())
    ]
    lines = [_line(("", label, rival, "difference")), "|" + "---|" * 4]
    for metric in (ONCE, OFTEN, ENDS[3], ENDS[4]):
        own, other = ([curve.mean(metric, last) for curve in side] for side in zip(*pairs, strict=True))
        change, low, high = paired_difference(other, own)
        heights = (f"{mean_over_seeds(columns):.3f}" for columns in (own, other))
        lines.append(_line((metric.name, *heights, f"{change:+.3f} [{low:+.3f}, {high:+.3f}]")))
    return "\n".join(lines)


def _table(complete: Mapping[str, Sequence[Curve]], metric: Metric) -> str:
    """The course of one metric on unseen problems; brackets hold the difference from plain GRPO."""
    name = metric.name
    heads = ("method", "seeds", f"best {name}", "at step", f"last {name}", "mean height of the curve",
             "steps to plain GRPO's best", "seeds above its best seed")  # fmt: skip
    lines = [_line(heads), "|" + "---|" * len(heads)]
    base = complete[BASELINE]
    top = max(max(curve.means(metric)[1:]) for curve in base)
    for label, own in complete.items():
        best = [str(curve.steps[curve.best(metric)]) for curve in own]
        above = sum(max(curve.means(metric)[1:]) > top for curve in own)
        lines.append(
            _line(
                (
                    label,
                    str(len(own)),
                    _difference(base, own, lambda curve: curve.at_best(metric)),
                    ", ".join(best),
                    _difference(base, own, lambda curve: curve.last(metric)),
                    _difference(base, own, lambda curve: curve.area(metric)),
                    ", ".join(_steps_to(curve, base, metric) for curve in own),
                    f"{above} of {len(own)}",
                )
            )
        )
    return "\n".join(lines)


def _all_tasks(rows: Sequence[Row]) -> list[str]:
    """Means over the evaluation tasks with plain GRPO and aent-auto, of the methods that have all of them."""
    tasks: dict[str, dict[tuple[str, int], Curve]] = {}
    for name in dict.fromkeys(row["recipe"] for row in rows if not row["recipe"].startswith("dev-")):
        complete, _ = curves(rows, name)
        if {BASELINE, "aent-auto"} <= set(complete):
            tasks[name] = {(curve.label, curve.seed): curve for own in complete.values() for curve in own}
    if len(tasks) < 2:
        return []
    everywhere = set[tuple[str, int]].intersection(*(set(task) for task in tasks.values()))
    shown = [
        (f"{name} {metric.name}", column, metric)
        for metric in (ONCE, OFTEN, ENDS[3])
        for name, column in COURSE.items()
    ]
    lines = [_line(("method", "seeds", *(name for name, _, _ in shown))), "|" + "---|" * (len(shown) + 2)]
    for label in sorted({label for label, _ in everywhere}, key=lambda label: (label != BASELINE, label)):
        seeds = sorted(s for name, s in everywhere if name == label and (BASELINE, s) in everywhere)
        if not seeds:
            continue
        cells: list[str] = []
        for _, column, metric in shown:
            own, base = (
                [_joined([column(task[name, seed], metric) for task in tasks.values()]) for seed in seeds]
                for name in (label, BASELINE)
            )
            change = "" if label == BASELINE else f" {_change(base, own)}"
            cells.append(f"{mean_over_seeds(own):.3f}{change}")
        lines.append(_line((label, ", ".join(map(str, seeds)), *cells)))
    return ["### All tasks", f"Of {', '.join(tasks)}:", "\n".join(lines)]


def _over_rates(complete: Mapping[str, Sequence[Curve]]) -> list[str]:
    """Mean and worst over the learning rates, of the methods that have all three at a constant rate."""
    found = {label: {curve.seed: curve for curve in own} for label, own in complete.items()}
    forms = {label: [label, f"{label}.third", f"{label}.triple"] for label in found if "." not in label}
    forms = {label: names for label, names in forms.items() if all(name in found for name in names)}
    if len(forms) < 2 or BASELINE not in forms or "linear" in complete[BASELINE][0].rows[-1]["flags"]:
        return []
    seeds = sorted(set.intersection(*(set(found[name]) for names in forms.values() for name in names)))
    heads = ("over the rates x 1/3, 1, 3", "seeds", "last pass@1", "worst", "last pass@16", "worst")
    lines = [_line(heads), "|" + "---|" * len(heads)]
    for label, names in forms.items():
        cells: list[str] = []
        for metric in (ONCE, OFTEN):
            own, base = (
                [_averaged([found[name][seed].last(metric) for name in forms[who]]) for seed in seeds]
                for who in (label, BASELINE)
            )
            change = "" if label == BASELINE else f" {_change(base, own)}"
            worst = min(mean_over_seeds([found[name][s].last(metric) for s in seeds]) for name in names)
            cells += [f"{mean_over_seeds(own):.3f}{change}", f"{worst:.3f}"]
        lines.append(_line((label, ", ".join(map(str, seeds)), *cells)))
    return ["\n".join(lines)]


def _averaged(parts: Sequence[PerProblem]) -> PerProblem:
    """Return each problem's mean over runs on the same problems."""
    values = np.mean([part.values for part in parts], 0)
    return PerProblem(values, np.ones(len(values)))


def _joined(parts: Sequence[PerProblem]) -> PerProblem:
    """Put the problems of several tasks side by side: as many of each, so their mean is the tasks' mean."""
    return PerProblem(*(np.concatenate(side) for side in zip(*parts, strict=True)))


def _change(before: Sequence[PerProblem], after: Sequence[PerProblem]) -> str:
    change, low, high = paired_difference(before, after)
    return f"({change:+.3f} [{low:+.3f}, {high:+.3f}])"


def _steps_to(curve: Curve, base: Sequence[Curve], metric: Metric) -> str:
    """The step at which a run is as good as plain GRPO's best on its seed, beside plain GRPO's own."""
    rivals = [other for other in base if other.seed == curve.seed]
    if not rivals:
        return "-"
    rival = rivals[0]
    step = curve.reaches(metric, max(rival.means(metric)[1:]))
    return f"{'never' if step is None else step} against {rival.steps[rival.best(metric)]}"


def _ends(complete: Mapping[str, Sequence[Curve]]) -> str:
    """The last evaluation at every setting, and the entropy it has left."""
    heads = ("method", "seeds", *(metric.name for metric in ENDS), "entropy, T = 1")
    lines = [_line(heads), "|" + "---|" * len(heads)]
    start = complete[BASELINE][0].rows[0]
    cells = [f"{metric.of(start).values.mean():.3f}" for metric in ENDS]
    lines.append(_line((START, "", *cells, f"{start['test']['sampled']['entropy']:.3f}")))
    for label, own in complete.items():
        cells = [
            _difference(complete[BASELINE], own, lambda curve, m=metric: m.of(curve.rows[-1]))
            for metric in ENDS
        ]
        entropy = np.mean([curve.rows[-1]["test"]["sampled"]["entropy"] for curve in own])
        lines.append(_line((label, str(len(own)), *cells, f"{entropy:.3f}")))
    return "\n".join(lines)


def _difference(base: Sequence[Curve], own: Sequence[Curve], column: Callable[[Curve], PerProblem]) -> str:
    """A mean over seeds, and its paired difference from plain GRPO on the seeds that both have."""
    rivals = {curve.seed: curve for curve in base}
    pairs = [(rivals[curve.seed], curve) for curve in own if curve.seed in rivals]
    columns = [column(curve) for curve in own]
    if not pairs or own[0].label == BASELINE:
        return f"{mean_over_seeds(columns):.3f}"
    before, after = ([column(curve) for curve in side] for side in zip(*pairs, strict=True))
    return f"{mean_over_seeds(columns):.3f} {_change(before, after)}"


def _why(complete: Mapping[str, Sequence[Curve]]) -> str:
    """What a policy learns from at three stages, and what it can still solve; means over seeds."""
    heads = ("method", "steps", "mixed groups", "gradient norm", "2 x entropy", "entropy, right answers",
             "entropy, wrong answers", "unseen problems ever solved", "of these none of 16 now")  # fmt: skip
    lines = [_line(heads), "|" + "---|" * len(heads)]
    for label, own in complete.items():
        length = len(own[0].rows)
        for index in sorted({1, length // 2, length - 1}):
            cells = np.array([_reasons(curve, index) for curve in own], dtype=float).mean(0)
            step = own[0].steps[index]
            shown = [f"{value:.3f}" for value in cells[:-2]] + [f"{value:.0f}" for value in cells[-2:]]
            lines.append(_line((label, f"to {step}", *shown)))
    return "\n".join(lines)


def _reasons(curve: Curve, index: int) -> list[float]:
    logged, sampled = curve.rows[index]["training"], curve.rows[index]["test"]["sampled"]
    right = np.array([row["test"]["sampled"]["correct"] for row in curve.rows[: index + 1]]) > 0
    ever = right.any(0)
    sides = [
        np.nan if sampled[name] is None else sampled[name] for name in ("entropy_right", "entropy_wrong")
    ]
    return [
        logged["mixed"], logged["grad_norm"], 2 * logged["entropy"], *sides,
        ever.sum(), (ever & ~right[-1]).sum(),
    ]  # fmt: skip


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
