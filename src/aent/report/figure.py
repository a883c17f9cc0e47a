"""The pictures of a training run (reward, entropy in its band, coefficient) and of a comparison."""

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from aent.errors import InputError
from aent.report.content import Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, Any]]

# Okabe and Ito's colors, distinguishable with any kind of color vision.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8A8F98"
_LINES = (GREY, BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#E69F00")
INK, FAINT = "#30343B", "#D9DCE1"
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#EEF0F3",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


GAPS = "; gaps: not finite"
HUGE = 1e150
"""Magnitude above which a value counts as infinite: sums and squares of such values overflow."""


class Series(NamedTuple):
    """The steps at which a key was logged, and its values."""

    steps: np.ndarray
    values: np.ndarray


class Tag(NamedTuple):
    """A name at the right edge, at the height where its line ends."""

    text: str
    height: float
    color: str


class Panel(NamedTuple):
    """One panel: its title, the keys it shows, and the function that draws it."""

    title: str
    keys: tuple[str, ...]
    draw: Callable[["Axes", Rows, Rows, tuple[str, str]], list[Tag]]


def training_figure(
    metrics: Rows,
    path: str | Path,
    *,
    title: str,
    baseline: Rows | None = None,
    labels: tuple[str, str] = ("this run", "baseline"),
) -> "Figure":
    """Draw reward, entropy (nats per token) and coefficient over steps into a PNG.

    Thin lines are the logged values, thick lines their running mean; a value that is not finite is a gap,
    and the panel's title says so. A panel is left out if none of its keys were logged.

    Args:
        metrics: the rows TRL logged, with any of ``step``, ``reward``, ``aent/entropy``,
            ``aent/full_entropy``, ``aent/coef``, ``aent/low``, ``aent/high``, ``entropy``.
        path: the PNG to write.
        title: the heading.
        baseline: the rows of a run to compare with, drawn in gray.
        labels: the names of the run and of the baseline, shown beside their lines.

    Raises:
        InputError: if none of the keys were logged.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    panels = [panel for panel in PANELS if any(len(series(metrics, k).steps) for k in panel.keys)]
    if not panels:
        known = ", ".join(key for panel in PANELS for key in panel.keys)
        raise InputError(
            f"{len(metrics)} rows hold nothing to draw. Give rows with step and at least one of: {known}."
        )
    with matplotlib.rc_context(_STYLE):
        layout = ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.1)  # inches
        size = (9, 0.8 + 1.75 * len(panels))
        figure = Figure(figsize=size, dpi=200, layout=layout, facecolor="white")
        FigureCanvasAgg(figure)
        figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold")
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        tags = [
            panel.draw(axes, metrics, baseline or [], labels)
            for axes, panel in zip(grid, panels, strict=True)
        ]
        for axes, panel in zip(grid, panels, strict=True):
            gaps = any(not np.isfinite(line.get_ydata(orig=False)).all() for line in axes.lines)
            axes.set_title(panel.title + (GAPS if gaps else ""), loc="left", fontsize=10.5)
            axes.margins(x=0)
            axes.yaxis.set_major_formatter("{x:g}")
        grid[-1].set_xlabel("training step")
        figure.draw_without_rendering()  # names are spaced in points, which the layout determines
        for axes, named in zip(grid, tags, strict=True):
            _write(axes, named)
        figure.savefig(path, format="png")
    return figure


def comparison_figure(lines: Sequence[Line], path: str | Path, *, title: str) -> "Figure":
    """Draw what each method does to the entropy (nats per token), to pass@1 and to pass@k, into a PNG.

    Entropy is that of the whole vocabulary over training, one thin line per run and their mean. pass@k is
    shown before and after training, as the mean over seeds, with its 95 % interval over problems where there
    is one seed. The baseline should come first: it is drawn in gray.

    Args:
        lines: the methods, as in a report.
        path: the PNG to write.
        title: the heading.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    seeds = [seed for line in lines for seed in line.seeds]
    measured = [{*seed.before} & {*seed.after} for seed in seeds if seed.before and seed.after]
    shared = set.intersection(*measured) if len(measured) == len(seeds) and measured else set()
    ks = sorted(int(name.removeprefix("pass@")) for name in shared if name.startswith("pass@"))
    shown = [f"pass@{k}" for k in dict.fromkeys((*ks[:1], *ks[-1:]))]
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(4 + 2.6 * len(shown), 3.6), dpi=200, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold")
        ratios = (1.6, *(1 for _ in shown))
        entropy, *others = figure.subplots(1, len(ratios), width_ratios=ratios, squeeze=False)[0]
        entropy.set_title("Entropy (nats per token)", loc="left", fontsize=10.5)
        entropy.set_xlabel("training step")
        for line, color in zip(lines, cycle(_LINES)):
            _draw_runs(entropy, line, color)
        for axes, name in zip(others, shown, strict=True):
            axes.set_title(f"{name}, unseen problems", loc="left", fontsize=10.5)
            for number, (line, color) in enumerate(zip(lines, cycle(_LINES))):
                _draw_change(axes, line, name, color, shift=0.04 * number)
            axes.set_xticks([0, 1], ["before", "after"])
            axes.margins(x=0.25)
        for axes in (entropy, *others):
            axes.set_ylim(bottom=0)
        figure.legend(
            *entropy.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False
        )
        figure.savefig(path, format="png")
    return figure


def _draw_runs(axes: "Axes", line: Line, color: str) -> None:
    """Draw the entropy of every run, and the mean over the steps that all of them logged."""
    found = [_full_entropy(seed.rows) for seed in line.seeds]
    for data in found:
        axes.plot(*data, color=color, alpha=0.25, linewidth=0.8)
    steps, values = over_seeds(found)
    mean = values.mean(0) if len(steps) else steps
    axes.plot(steps, mean, color=color, linewidth=2, label=line.label)


def _draw_change(axes: "Axes", line: Line, name: str, color: str, shift: float) -> None:
    """Draw a metric before and after training; `shift` keeps the intervals of methods apart."""
    sides = [[seed.before, seed.after] for seed in line.seeds]
    values = np.array([[metrics[name] for metrics in pair if metrics] for pair in sides]).mean(0)
    at = np.array([0.0, 1.0]) + shift
    axes.plot(at, values[:, 0], color=color, linewidth=2, marker="o", markersize=4)
    if len(sides) == 1:
        axes.vlines(at, values[:, 1], values[:, 2], color=color, linewidth=1)


def series(rows: Rows, key: str) -> Series:
    """Return the steps and values of the rows that have a number under the key, finite or not.

    A value beyond `HUGE` is infinite.
    """
    pairs = [(row["step"], row[key]) for row in rows if "step" in row and row.get(key) is not None]
    steps, numbers = zip(*pairs, strict=True) if pairs else ((), ())
    values = np.array(numbers, dtype=float)
    values = np.where(np.abs(values) > HUGE, np.copysign(np.inf, values), values)
    return Series(np.array(steps, dtype=float), values)


def over_seeds(runs: Sequence[Series]) -> Series:
    """Return the steps that all runs logged, and the values there: runs x steps.

    A run that logged nothing is left out.
    """
    by_step = [dict(zip(*map(np.ndarray.tolist, run), strict=True)) for run in runs if len(run.steps)]
    shared = sorted(set.intersection(*map(set, by_step))) if by_step else []
    values = np.array([[run[step] for step in shared] for run in by_step])
    return Series(np.array(shared), values.reshape(len(by_step), len(shared)))


def _finite(data: Series) -> Series:
    finite = np.isfinite(data.values)
    return Series(data.steps[finite], data.values[finite])


def _full_entropy(rows: Rows) -> Series:
    ours = series(rows, "aent/full_entropy")
    # A run without a method has only the entropy that TRL itself logs, which is the full one.
    return ours if len(ours.steps) else series(rows, "entropy")


def _line(axes: "Axes", data: Series, color: str, label: str) -> list[Tag]:
    """Draw one series and its running mean; return its name, or nothing if the series is empty."""
    if not len(data.steps):
        return []
    values = np.where(np.isfinite(data.values), data.values, np.nan)
    smooth = _running_mean(values)
    axes.plot(data.steps, values, color=color, alpha=0.25, linewidth=0.8)
    axes.plot(
        data.steps, smooth, color=color, linewidth=2, label=label,
        marker="o", markersize=2, markevery=_alone(smooth),
    )  # fmt: skip
    ends = smooth[np.isfinite(smooth)]
    return [Tag(label, float(ends[-1]) if len(ends) else 0.0, color)]


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Return the centered mean over a twentieth of the run, less at its ends; gaps stay and do not count."""
    finite = np.isfinite(values)
    half = len(values) // 40
    total = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])
    count = np.concatenate([[0], np.cumsum(finite)])
    at = np.arange(len(values))
    first, last = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    mean = (total[last] - total[first]) / np.maximum(count[last] - count[first], 1)
    return np.where(finite, mean, np.nan)


def _alone(values: np.ndarray) -> list[int]:
    """Return the indices of finite values between two gaps, of which a line would show nothing."""
    finite = np.concatenate([[False], np.isfinite(values), [False]])
    return np.nonzero(finite[1:-1] & ~finite[:-2] & ~finite[2:])[0].tolist()


def _write(axes: "Axes", tags: Sequence[Tag]) -> None:
    """Write the names beside the panel, moved apart if they would overlap."""
    tags = sorted(tags, key=lambda tag: tag.height)
    per_point = axes.figure.dpi / 72
    due = np.array([axes.transData.transform((0, tag.height))[1] / per_point for tag in tags])
    for tag, height, place in zip(tags, due, apart(due, gap=12.5), strict=True):
        axes.annotate(
            tag.text,
            (1, tag.height),
            xycoords=axes.get_yaxis_transform(),
            xytext=(7, place - height),
            textcoords="offset points",
            color=tag.color,
            va="center",
            fontweight="bold",
            annotation_clip=False,
        )


def apart(heights: np.ndarray, gap: float) -> np.ndarray:
    """Return increasing heights, moved so that neighbors are at least `gap` apart.

    The mean of pushing up from the bottom and pushing down from the top; a height with enough room
    stays where it is.
    """
    steps = gap * np.arange(len(heights))
    up = np.maximum.accumulate(heights - steps) + steps
    down = np.minimum.accumulate((heights - steps)[::-1])[::-1] + steps
    return (up + down) / 2


def _draw_reward(axes: "Axes", rows: Rows, baseline: Rows, labels: tuple[str, str]) -> list[Tag]:
    return [
        *_line(axes, series(baseline, "reward"), GREY, labels[1]),
        *_line(axes, series(rows, "reward"), BLUE, labels[0]),
    ]


def _draw_entropy(axes: "Axes", rows: Rows, baseline: Rows, labels: tuple[str, str]) -> list[Tag]:
    clamped = series(rows, "aent/entropy")
    kind = ", full" if len(clamped.steps) else ""
    return [
        *_draw_band(axes, series(rows, "aent/low"), series(rows, "aent/high")),
        *_line(axes, _full_entropy(baseline), GREY, labels[1] + kind),
        *_line(axes, _full_entropy(rows), BLUE, labels[0] + kind),
        *_line(axes, clamped, ORANGE, f"{labels[0]}, clamped"),
    ]


def _draw_band(axes: "Axes", low: Series, high: Series) -> list[Tag]:
    """Shade the band; if only one bound was logged, or one is infinite, draw the other."""
    low, high = _finite(low), _finite(high)
    bounds = [bound for bound in (low, high) if len(bound.steps)]
    for bound in bounds:
        axes.plot(*bound, color=GREEN, linewidth=0.8)
    if np.array_equal(low.steps, high.steps):
        axes.fill_between(low.steps, low.values, high.values, color=GREEN, alpha=0.13, linewidth=0)
    name = "band" if len(bounds) == 2 else "bound"
    ends = [bound.values[-1] for bound in bounds]
    return [Tag(name, float(np.mean(ends)), GREEN)] if bounds else []


def _draw_coef(axes: "Axes", rows: Rows, baseline: Rows, labels: tuple[str, str]) -> list[Tag]:
    return [
        *_line(axes, series(baseline, "aent/coef"), GREY, labels[1]),
        *_line(axes, series(rows, "aent/coef"), BLUE, labels[0]),
    ]


PANELS = (
    Panel("Reward", ("reward",), _draw_reward),
    Panel(
        "Entropy (nats per token)",
        ("aent/entropy", "aent/full_entropy", "entropy"),
        _draw_entropy,
    ),
    Panel("Entropy coefficient", ("aent/coef",), _draw_coef),
)
