"""The frontier: pass@1 against pass@16 for every strength of every method, from what evidence.py has run.

`python benchmarks/evidence/frontier.py` draws docs/images/frontier.png and prints the points on the frontier.
The three settings of each method are those of `evidence.py tune`. aent-auto, which was another one then, has
the strengths of `evidence.py strength` in their place.
"""

from pathlib import Path

import evidence
import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from aent.report.figure import BLUE, FAINT, GREEN, GREY, INK, ORANGE
from aent.statistics import mean_over_seeds

PATH = Path(__file__).parents[2] / "docs/images/frontier.png"
SEED = 100
AUTO = "aent-auto"
FROM = 0.35
"""Candidates with less pass@1 are named below the picture in place of a point."""
JOINED = {"none": GREY, AUTO: BLUE, "entropy-bonus": ORANGE, "pass-at-k": GREEN, "siren": "#CC79A7",
          "clip-cov": "#56B4E9", "aent": "#E69F00", "clip-higher": INK}  # fmt: skip
"""The methods with a line through their settings; the others are pale points."""

Point = tuple[float, float]


def main() -> None:
    """Draw the picture and print the points on the frontier."""
    found = points()
    draw(found)
    for label, point in frontier(found).items():
        print(f"{label:24} pass@1 {point[0]:.3f} pass@16 {point[1]:.3f}")


def points() -> dict[str, Point]:
    """Return pass@1 and pass@16 of each candidate, in the order of their strengths; means over the tasks."""
    rows = [row for row in evidence.results() if row["stage"] in ("tune", "strength") and row["seed"] == SEED]
    tasks = {row["recipe"] for row in rows}
    found: dict[str, Point] = {}
    for stage, label in candidates():
        own = [row for row in rows if (row["stage"], row["label"]) == (stage, label)]
        if {row["recipe"] for row in own} == tasks:
            once, often = (mean_over_seeds([evidence.column(r, "headline", k) for r in own]) for k in (1, 16))
            found[label] = once, often
    return found


def candidates() -> list[tuple[str, str]]:
    """Return the stage and the label of each candidate: aent-auto by its strength, the others as tuned."""
    tuned, strengths = (yaml.safe_load(p.read_text()) for p in (evidence.CANDIDATES, evidence.STRENGTH))
    found = [("tune", label) for label in tuned if evidence.method_of(label) != AUTO]
    return found + [("strength", label) for label in strengths if evidence.method_of(label) == AUTO]


def frontier(found: dict[str, Point]) -> dict[str, Point]:
    """Return the candidates that no other beats in both, the highest pass@1 first."""
    best = {
        label: (once, often)
        for label, (once, often) in found.items()
        if not any(x >= once and y >= often and (x, y) != (once, often) for x, y in found.values())
    }
    return dict(sorted(best.items(), key=lambda item: -item[1][0]))


def draw(found: dict[str, Point]) -> None:
    """Draw the candidates, lines through the settings of a method, and the frontier."""
    figure = Figure(figsize=(7.5, 4.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    shown = {label: point for label, point in found.items() if point[0] >= FROM}
    edge = [shown[label] for label in frontier(found)]
    axes.plot(
        *zip(*edge, strict=True), color=FAINT, linewidth=7, solid_capstyle="round", label="the frontier"
    )
    pale = [point for label, point in shown.items() if evidence.method_of(label) not in JOINED]
    axes.plot(*zip(*pale, strict=True), "o", color=FAINT, markersize=5, label="other methods")
    for method, color in JOINED.items():
        own = [point for label, point in shown.items() if evidence.method_of(label) == method]
        axes.plot(*zip(*own, strict=True), "o-", color=color, linewidth=1.4, markersize=6, label=method)
    hidden = sorted(label for label in found if label not in shown)
    axes.set_xlabel(f"pass@1, T = 0.6 (below {FROM}: {', '.join(hidden)})", fontsize=9)
    axes.set_ylabel("pass@16, T = 0.6")
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle("Every method over its settings, development tasks", x=0.01, ha="left", fontweight="bold")
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    figure.savefig(PATH, format="png")


if __name__ == "__main__":
    main()
