"""Pictures of the long runs, from the rows of long.jsonl.

Lines are means over seeds, and a shade spans the seeds.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from long_curves import BASELINE, OFTEN, ONCE, Curve, Row, curves
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy import array

from aent.report.figure import BLUE, GREEN, GREY, INK, ORANGE

Height = Callable[[Curve], Sequence[float]]

TASKS = {"eval-chain": "chain", "long-spell-3000": "spell-3000", "eval-spell": "spell",
         "long-equations": "equations", "long-letters": "letters"}  # fmt: skip
"""The evaluation tasks by their recipes."""
MAIN = {
    BASELINE: ("plain GRPO, constant learning rate", GREY, "-"),
    "none.late-decay": ("plain GRPO, falling in the last fifth", INK, "--"),
    "aent-auto": ("aent-auto, falling in the last fifth", BLUE, "-"),
}
"""What the main pictures show: title, color and style."""
PUBLISHED = ("aent", "clip-cov", "entropic", "entrocraft", "entropy-bonus", "pass-at-k", "siren")
"""Methods of others, at the learning rate that falls in the last fifth."""
OTHERS = (ORANGE, GREEN, "#E69F00", "#882255", "#999933", "#CC79A7", "#56B4E9")
"""Colors of the other methods, in the order of their labels."""


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Draw the main runs on chain and on all tasks, and methods and forms on chain; return the pictures."""
    found = {recipe: curves(rows, recipe)[0] for recipe in TASKS}
    chain = next(iter(TASKS))
    methods = {label: own for label, own in found[chain].items() if label in (*MAIN, *PUBLISHED)}
    forms = {label: own for label, own in found[chain].items() if label not in PUBLISHED}
    main = {recipe: {label: own[label] for label in MAIN if label in own} for recipe, own in found.items()}
    pictures = {
        "long-chain.png": course(main[chain], TASKS[chain]),
        "long-chain-methods.png": course(methods, TASKS[chain]),
        "long-chain-forms.png": course(forms, TASKS[chain]),
        "long-tasks.png": tasks(main),
    }
    for name, figure in pictures.items():
        figure.savefig(folder / name, format="png")
    return [folder / name for name in pictures]


def course(complete: Mapping[str, Sequence[Curve]], title: str) -> Figure:
    """Draw pass@1, pass@16 and entropy of one task over training."""
    figure = _figure(3.4, f"{title}: unseen problems over training")
    panels: Mapping[str, Height] = {
        "pass@1, T = 0.6": lambda curve: curve.means(ONCE),
        "pass@16, T = 0.6": lambda curve: curve.means(OFTEN),
        "entropy at T = 1, nats per token": lambda curve: [
            row["test"]["sampled"]["entropy"] for row in curve.rows
        ],
    }
    for axes, (name, height) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        _lines(axes, complete, height)
        axes.set_ylim(bottom=0)
        axes.set_title(name, loc="left", fontsize=10)
        axes.set_xlabel("training step")
    _legend(figure)
    return figure


def tasks(found: Mapping[str, Mapping[str, Sequence[Curve]]]) -> Figure:
    """Draw pass@1 and pass@16 of every task over training, a column a task."""
    figure = _figure(5.4, "unseen problems over training")
    grid = figure.subplots(2, len(found), sharex=True, sharey="row")
    for column, (recipe, complete) in zip(grid.T, found.items(), strict=True):
        _lines(column[0], complete, lambda curve: curve.means(ONCE))
        _lines(column[1], complete, lambda curve: curve.means(OFTEN))
        column[0].set_title(TASKS[recipe], loc="left", fontsize=10)
        column[1].set_xlabel("training step")
    for axes in grid[:, 0]:
        axes.set_ylim(bottom=0)  # after all lines of its row, which share it
    grid[0, 0].set_ylabel("pass@1, T = 0.6")
    grid[1, 0].set_ylabel("pass@16, T = 0.6")
    _legend(figure)
    return figure


def _figure(height: float, title: str) -> Figure:
    figure = Figure(figsize=(10, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return figure


def _lines(axes: Axes, complete: Mapping[str, Sequence[Curve]], height: Height) -> None:
    rest = iter([(color, style) for style in ("-", ":") for color in OTHERS])
    for label, own in complete.items():
        values = array([height(curve) for curve in own])
        title, color, style = MAIN[label] if label in MAIN else (label, *next(rest))
        steps = own[0].steps
        axes.plot(steps, values.mean(0), style, color=color, linewidth=1.8, label=title)
        axes.fill_between(steps, values.min(0), values.max(0), color=color, alpha=0.12, linewidth=0)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(figure: Figure) -> None:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
