"""The study's pictures."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aent.report.figure import BLUE, FAINT, GREEN, GREY, INK, ORANGE
from aent.study.cache import Runs
from aent.study.plans import COMPARED, Cell
from aent.study.settings import METHODS, OPTIMAL, PAPER, PAPER_GAIN
from aent.study.theory import CHECKS, CLAMP_ACTIONS, ONE_STEP, ONE_STEP_OPTIMAL, Case, Clamp, one_step
from aent.study.tree import GRADIENT_CONSTANT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
COLORS = dict(zip(METHODS, (GREY, ORANGE, BLUE, GREEN, "#CC79A7", "#E69F00"), strict=True))
NAMES = {
    "none": "no bonus",
    "entropy": "entropy bonus",
    "clamped": "clamped entropy",
    "band": "clamped, band (AEnt)",
    "lagrangian": "Lagrangian",
    "a3c": "A3C's .01",
}
SETTINGS = {
    "actions": "number of actions",
    "prior": "initial probability of optimal actions",
    "lr": "step size",
    "drop": "fraction dropped by the clamped entropy",
    "coef": "entropy coefficient",
}
"""What a sweep varies, in words."""
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "grid.color": "#EEF0F3",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}


@contextmanager
def _page(path: Path, title: str, size: tuple[float, float]) -> "Iterator[Figure]":
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=size, dpi=130, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        figure.suptitle(title, x=0.012, ha="left", fontsize=11, fontweight="bold")
        yield figure
        figure.savefig(path, format="png")


def draw_mdp(
    path: Path, runs: Runs, cells: Sequence[Cell], rows: Sequence[Row], seeds: Sequence[int]
) -> None:
    """Draw the average reward over steps, one panel per number of optimal actions, and the gains as bars."""
    world = cells[0].world
    title = (
        f"Average reward over {world.states} states, {world.actions:,} actions; dotted: the paper's levels"
    )
    with _page(path, title, (10, 7.4)) as figure:
        grid = figure.subplots(2, 3).ravel()
        for axes, optimal in zip(grid, OPTIMAL, strict=False):
            for cell in cells:
                if cell.world.optimal == optimal:
                    _curve(axes, runs, cell, seeds)
            for name in COMPARED:
                if optimal in PAPER[name]:
                    axes.axhline(PAPER[name][optimal], color=COLORS[name], linestyle=":", linewidth=1)
            axes.set(title=_optimal(optimal), xlabel="gradient step", ylabel="average reward", ylim=(0, 1.02))
        grid[0].legend(fontsize=7)
        for axes, name in zip(grid[4:], COMPARED[1:], strict=True):
            _bars(axes, name, [row for row in rows if row["method"] == name])
        lower = min(axes.get_ylim()[0] for axes in grid[4:])
        upper = max(axes.get_ylim()[1] for axes in grid[4:])
        for axes in grid[4:]:
            axes.set_ylim(lower, upper)


def _optimal(count: int) -> str:
    return f"{count} optimal action{'' if count == 1 else 's'}"


def _curve(axes: "Axes", runs: Runs, cell: Cell, seeds: Sequence[int]) -> None:
    run = runs[cell.job(seeds)]
    curves = np.array(run["reward"])
    color, paper = COLORS[cell.method], cell.method in COMPARED
    line = 2 if paper else 1
    axes.plot(run["step"], curves.mean(1), color=color, linewidth=line, label=NAMES[cell.method])
    if paper:
        spread = curves.min(1), curves.max(1)
        axes.fill_between(run["step"], *spread, color=color, alpha=0.13, linewidth=0)


def _bars(axes: "Axes", name: str, rows: Sequence[Row]) -> None:
    at = np.arange(len(rows))
    paper = [PAPER_GAIN[name][row["optimal"]] for row in rows]
    ours = np.array([row["gain"] for row in rows])
    reach = np.array([[row["gain"] - row["gain_low"], row["gain_high"] - row["gain"]] for row in rows]).T
    axes.bar(at - 0.2, paper, 0.36, color=FAINT, label="paper")
    axes.bar(at + 0.2, ours, 0.36, color=COLORS[name], label="ours, 95 %", yerr=reach, ecolor=INK)
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.set_xticks(at, [str(row["optimal"]) for row in rows])
    axes.set(title=f"Gain of the {NAMES[name]} over no bonus", xlabel="optimal actions")
    axes.set_ylabel("gain in average reward")
    axes.legend(fontsize=7)


def draw_sweep(path: Path, title: str, rows: Sequence[Row]) -> None:
    """Draw the average reward over each varied setting, in a panel for each number of optimal actions."""
    settings = list(dict.fromkeys(row["varied"] for row in rows))
    counts = list(dict.fromkeys(row["optimal"] for row in rows))
    panels = [(optimal, setting) for optimal in counts for setting in settings]
    columns = min(len(settings), 3)
    lines = -(-len(panels) // columns)
    title = f"{title}, {_optimal(counts[0])}" if len(counts) == 1 else title
    with _page(path, title, (1.2 + 3.1 * max(columns, 2), 2.8 * lines + 0.4)) as figure:
        grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
        for axes, (optimal, setting) in zip(grid.flat, panels, strict=False):
            _sweep(axes, [row for row in rows if (row["varied"], row["optimal"]) == (setting, optimal)])
            field, _, noise = setting.partition(", ")
            where = _optimal(optimal) if len(counts) > 1 else noise
            heading = ", ".join(filter(None, (SETTINGS[field].capitalize(), where)))
            axes.set(title=heading, xlabel=SETTINGS[field], ylim=(-0.02, 1.02))
        for axes in grid[:, 0]:
            axes.set_ylabel("average reward")
        for axes in grid.flat[len(panels) :]:
            axes.remove()
        grid[0, 0].legend(fontsize=7)


def _sweep(axes: "Axes", rows: Sequence[Row]) -> None:
    values = list(dict.fromkeys(row["value"] for row in rows))  # as categories: they are not evenly spaced
    for shift, name in enumerate(COMPARED):
        mine = [row for row in rows if row["method"] == name]
        if mine:
            at = [values.index(row["value"]) + 0.06 * (shift - 1) for row in mine]
            level = np.array([row["reward"] for row in mine])
            reach = [level - [r["reward_low"] for r in mine], [r["reward_high"] for r in mine] - level]
            axes.errorbar(
                at, level, yerr=reach, color=COLORS[name], marker="o", markersize=3, label=NAMES[name]
            )
    axes.set_xticks(range(len(values)), [f"{v:,.0f}" if v >= 1_000 else f"{v:g}" for v in values])


def draw_theory(path: Path, cases: Sequence[Case], clamps: Sequence[Clamp]) -> None:
    """Draw both propositions as scatter plots, the bias of the clamped entropy, and one step."""
    parts = {name: [case for case in cases if case.check == name] for name in CHECKS}
    shown = {name: part[:: 1 + len(part) // 3_000] for name, part in parts.items()}
    with _page(path, "The two propositions, by enumeration", (10, 7.4)) as figure:
        grid = figure.subplots(2, 3).ravel()
        _scatter_gradient(grid[0], shown["gradient"])
        _scatter(grid[1], shown["bias"], 1e-4, "2. Regularized optimum")
        _scatter(grid[2], shown["stationary"], 1e-4, "2. Policies off the optimum")
        _clamping(grid[3], clamps)
        _one_step(grid[4], slice(0, 30), "One step: the likeliest 30 actions")
        _one_step(grid[5], slice(30, None), "One step: the other 970")


def _scatter_gradient(axes: "Axes", cases: Sequence[Case]) -> None:
    entropy = np.array([case.entropy for case in cases])
    slope = np.array([case.value for case in cases])
    line = np.geomspace(1e-3, entropy.max(), 50)
    axes.scatter(entropy, slope, s=3, color=BLUE, alpha=0.4, linewidths=0)
    axes.plot(line, 2 * line, color=INK, linewidth=1, label="2 H, the paper's bound")
    axes.plot(line, GRADIENT_CONSTANT * line, color=ORANGE, linewidth=1, label=f"{GRADIENT_CONSTANT:.2f} H")
    axes.set(xscale="log", yscale="log", xlim=(1e-3, None), ylim=(1e-5, None))
    axes.set(title="1. Gradient norm", xlabel="H(π), nats", ylabel="‖∇V‖")
    axes.legend(fontsize=7)


def _scatter(axes: "Axes", cases: Sequence[Case], least: float, title: str) -> None:
    gap = np.maximum([case.value for case in cases], least)
    bound = np.array([case.bound for case in cases])
    axes.scatter(bound, gap, s=3, color=BLUE, alpha=0.4, linewidths=0)
    line = np.geomspace(least, 1, 20)
    axes.plot(line, line, color=INK, linewidth=1, label="gap = bound")
    axes.set(xscale="log", yscale="log", ylim=(least / 2, 2), xlim=(1e-3, 1e4), title=title)
    axes.set(xlabel="bound", ylabel=f"V* - V (at least {least:g})")
    axes.legend(fontsize=7)


def _clamping(axes: "Axes", clamps: Sequence[Clamp]) -> None:
    kept = [clamp.kept for clamp in clamps]
    axes.plot(kept, [clamp.bound for clamp in clamps], color=INK, linewidth=1, label="coef · log kept")
    axes.plot(kept, [clamp.worst.mean() for clamp in clamps], color=ORANGE, marker="o", markersize=3)
    axes.plot(kept, [clamp.best.mean() for clamp in clamps], color=BLUE, marker="o", markersize=3)
    axes.lines[1].set_label("worst resting point, mean")
    axes.lines[2].set_label("best resting point, mean")
    axes.set(title="Bias of the clamped entropy", xlabel=f"actions kept, of {CLAMP_ACTIONS}", ylabel="V* - V")
    axes.set_xticks(kept)
    axes.legend(fontsize=7)


def _one_step(axes: "Axes", part: slice, title: str) -> None:
    for name, (coef, subset) in ONE_STEP.items():
        before, after = one_step(coef, subset)
        ranks = np.arange(1, len(before) + 1)[part]
        ratio = (after / before).numpy()[part]
        axes.plot(ranks, ratio, color=COLORS[name], linewidth=1.5, label=NAMES[name])
    if part.start == 0:
        axes.axvline(ONE_STEP_OPTIMAL + 1, color=INK, linewidth=0.6, linestyle=":")
    axes.set(title=title, xlabel="rank of the action", ylabel="probability after / before")
    axes.legend(fontsize=7)
