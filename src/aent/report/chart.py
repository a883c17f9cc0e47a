"""Charts as coordinates for small inline SVG: curves over steps with bands over seeds, and pass@k."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log2, log10
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from aent.report.content import Line, Metrics, Seed
from aent.report.figure import Series, over_seeds, series

WIDTH, HEIGHT = 400, 240
"""Size of a chart in the units of the SVG; on a phone one of them is about 0.9 px."""
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 40
"""Margins around the area of the curves."""
POINTS = 100
"""Points of a curve at most."""
MARKS = 5
"""Symbols on a curve, about."""
GAP = "a gap stands for values that are not finite (NaN or infinite)"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A line and the spread around it, in the units of the data; a value that is not finite is a gap."""

    slot: int | None
    """Index of the style of its method; None is the style of the policy before training."""
    label: str
    x: Float[np.ndarray, " points"]
    y: Float[np.ndarray, " points"]
    low: Float[np.ndarray, " points"]
    high: Float[np.ndarray, " points"]
    target: tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]] | None = None
    """The bounds between which the controller holds the entropy; infinite where there is none."""


class Tick(NamedTuple):
    """A place along an axis and its label."""

    place: float
    text: str


class Trace(NamedTuple):
    """A curve as SVG paths."""

    slot: int | None
    line: str
    spread: str
    target: str
    edges: Sequence[str]
    marks: Sequence[tuple[float, float]]


class Tooltip(NamedTuple):
    """A column of a chart that shows its numbers when pointed at."""

    left: float
    width: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart in the units of the SVG."""

    title: str
    unit: str
    x_title: str
    curves: Sequence[Curve]
    """What the traces show, in the units of the data."""
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    traces: Sequence[Trace]
    tooltips: Sequence[Tooltip]
    note: str


class Kind(NamedTuple):
    """A chart over training steps: its heading, its unit, and its keys, the first one logged counts."""

    title: str
    unit: str
    keys: tuple[str, ...]
    targets: bool = False


KINDS = (
    Kind("Reward", "mean over training answers", ("reward",)),
    Kind("Entropy", "nats per token, whole vocabulary", ("aent/full_entropy", "entropy")),
    Kind("Entropy held to a target", "nats per token, as the method measures it", ("aent/entropy",), True),
    Kind("Coefficient", "of the entropy bonus", ("aent/coef",)),
    Kind("Response length", "tokens", ("completions/mean_length",)),
)


def training_charts(lines: Sequence[Line]) -> list[Chart]:
    """Return the charts over training steps for which something was logged."""
    charts = []
    for kind in KINDS:
        curves = [c for slot, line in enumerate(lines) if (c := _over_steps(kind, slot, line)) is not None]
        if curves:
            longest = max(len(_logged(kind, line).steps) for line in lines)
            size = ceil(longest / POINTS)
            thinned = f"each point is the mean of {size} logged rows" if size > 1 else ""
            gap = "" if all(np.isfinite(curve.y).all() for curve in curves) else GAP
            note = "; ".join(filter(None, (thinned, gap)))
            charts.append(_chart(kind.title, kind.unit, "training step", curves, note, _even_ticks))
    return charts


def pass_chart(lines: Sequence[Line]) -> Chart | None:
    """Return pass@k over k, before and after training; None if nothing was evaluated."""
    after = [_pass_curve(slot, line.label, [s.after for s in line.seeds]) for slot, line in enumerate(lines)]
    before = [_pass_curve(None, "before training", [s.before for s in line.seeds]) for line in lines]
    first = [c for c in before if c is not None]
    same = all(c.y.shape == first[0].y.shape and np.allclose(c.y, first[0].y) for c in first)
    if not same:  # the policies before training differ: one dashed curve each
        first = [
            Curve(slot=None, label=f"{line.label}, before", x=c.x, y=c.y, low=c.low, high=c.high)
            for line, c in zip(lines, before, strict=True)
            if c is not None
        ]
    curves = [*first[: 1 if same else None], *(c for c in after if c is not None)]
    if not curves:
        return None
    return _chart("pass@k", "share of problems solved within k answers", "k", curves, "", _k_ticks)


def _logged(kind: Kind, line: Line) -> Series:
    """Return the steps that all seeds logged, and the values there: seeds x steps."""
    return over_seeds([_first(kind.keys, seed) for seed in line.seeds])


def _first(keys: Iterable[str], seed: Seed) -> Series:
    """Return the series of the first key that was logged; an empty one if none was."""
    found = [series(seed.rows, key) for key in keys]
    return next((data for data in found if len(data.steps)), found[0])


def _over_steps(kind: Kind, slot: int, line: Line) -> Curve | None:
    steps, values = _logged(kind, line)
    target = _target(line, steps) if kind.targets else None
    if not len(steps) or (kind.targets and target is None):
        return None
    values = _thinned(np.where(np.isfinite(values), values, np.nan))
    return Curve(
        slot=slot,
        label=line.label,
        x=_thinned(steps[None])[0],
        y=values.mean(0),
        low=values.min(0),
        high=values.max(0),
        target=None if target is None else (_thinned(target[0][None])[0], _thinned(target[1][None])[0]),
    )


def _target(line: Line, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the lowest lower and the highest upper bound over seeds; infinite where there is none."""
    lows, highs = (
        [_finite(series(seed.rows, f"aent/{side}")) for seed in line.seeds] for side in ("low", "high")
    )
    if not any([*lows, *highs]):
        return None
    low = np.array([min(bounds.get(step, -np.inf) for bounds in lows) for step in steps])
    high = np.array([max(bounds.get(step, np.inf) for bounds in highs) for step in steps])
    return low, high


def _finite(data: Series) -> dict[float, float]:
    return {step: value for step, value in zip(*data, strict=True) if isfinite(value)}


def _thinned(values: Float[np.ndarray, "seeds steps"]) -> Float[np.ndarray, "seeds points"]:
    """Return means over neighboring steps, so that at most `POINTS` are left; a gap makes the mean a gap."""
    size = ceil(values.shape[1] / POINTS)
    starts = range(0, values.shape[1], max(size, 1))
    return np.array([[row[start : start + size].mean() for start in starts] for row in values])


def _pass_curve(slot: int | None, label: str, seeds: Sequence[Metrics | None]) -> Curve | None:
    """Return the mean over seeds and their range; with one seed, its interval over problems."""
    evaluated = [metrics for metrics in seeds if metrics is not None]
    if not evaluated:
        return None
    names = [n for n in evaluated[0] if n.startswith("pass@") and all(n in metrics for metrics in evaluated)]
    estimates = np.array([[metrics[name] for name in names] for metrics in evaluated])
    values = estimates[:, :, 0]
    alone = len(evaluated) == 1
    return Curve(
        slot=slot,
        label=label,
        x=np.array([float(name.removeprefix("pass@")) for name in names]),
        y=values.mean(0),
        low=estimates[0, :, 1] if alone else values.min(0),
        high=estimates[0, :, 2] if alone else values.max(0),
    )


class Axis(NamedTuple):
    """The mapping from numbers to places on the SVG, linear or logarithmic."""

    first: float
    last: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return places in the units of the SVG."""
        first, last = (log2(v) if self.logarithmic else v for v in (self.first, self.last))
        values = np.log2(values) if self.logarithmic else values
        share = (values - first) / ((last - first) or 1.0)
        return self.start + share * (self.end - self.start)


def _chart(
    title: str,
    unit: str,
    x_title: str,
    curves: Sequence[Curve],
    note: str,
    x_ticks: Callable[[Sequence[Curve], Axis], list[Tick]],
) -> Chart:
    ends = np.concatenate([curve.x for curve in curves])
    x = Axis(ends.min(), ends.max(), LEFT, WIDTH - RIGHT, logarithmic=x_ticks is _k_ticks)
    bottom, top = _range(curves)
    y = Axis(bottom, top, HEIGHT - BOTTOM, TOP)
    step = _nice((top - bottom) / 5)
    heights = np.arange(ceil(bottom / step - 1e-9), floor(top / step + 1e-9) + 1) * step
    y_ticks = [Tick(_round(p), f"{height:.6g}") for p, height in zip(y(heights), heights, strict=True)]
    return Chart(
        title=title,
        unit=unit,
        x_title=x_title,
        curves=curves,
        x_ticks=x_ticks(curves, x),
        y_ticks=y_ticks,
        traces=[_trace(curve, x, y, top, bottom) for curve in curves],
        tooltips=_tooltips(curves, x, x_title),
        note=note,
    )


def _range(curves: Sequence[Curve]) -> tuple[float, float]:
    """Return the range of the finite values, with a margin; it starts at 0 if the values come near 0."""
    parts = [part for c in curves for part in (c.low, c.high, *(c.target or ()))]
    values = np.concatenate(parts)
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    low = 0.0 if 0 <= low < 0.6 * high else low
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return (low if low == 0 else low - margin), high + margin


def _nice(step: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below `step`."""
    power = 10.0 ** floor(log10(step))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= step * (1 - 1e-9))


def _even_ticks(curves: Sequence[Curve], axis: Axis) -> list[Tick]:
    step = max(_nice((axis.last - axis.first) / 6), 1.0) if axis.last > axis.first else 1.0
    values = np.arange(ceil(axis.first / step), floor(axis.last / step) + 1) * step
    return [Tick(_round(p), f"{v:g}") for p, v in zip(axis(values), values, strict=True)]


def _k_ticks(curves: Sequence[Curve], axis: Axis) -> list[Tick]:
    values = np.unique(np.concatenate([curve.x for curve in curves]))
    return [Tick(_round(p), f"{v:g}") for p, v in zip(axis(values), values, strict=True)]


def _trace(curve: Curve, x: Axis, y: Axis, top: float, bottom: float) -> Trace:
    across, heights = x(curve.x), y(curve.y)
    every = max(1, len(across) // MARKS)
    # Curves of different methods have their symbols at different steps.
    first = 0 if len(across) <= MARKS else (2 + 3 * (curve.slot or 0)) % every
    marks = list(zip(across, heights, strict=True))[first::every]
    target, edges = "", []
    if curve.target is not None:
        # An infinite bound lies at the edge of the chart and gets no line.
        low, high = (np.clip(bound, bottom, top) for bound in curve.target)
        target = _area(across, y(low), y(high))
        edges = [_path(across, y(b)) for b in curve.target if np.all(np.isfinite(b))]
    return Trace(
        curve.slot,
        _path(across, heights),
        _area(across, y(curve.low), y(curve.high)) if np.any(curve.low < curve.high) else "",
        target,
        edges,
        [(_round(a), _round(b)) for a, b in marks if isfinite(b)],
    )


def _path(x: np.ndarray, y: np.ndarray) -> str:
    """Return a line through the points, interrupted at gaps; a point between two gaps becomes a dot."""
    pieces = ["L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x[i], y[i], strict=True)) for i in _pieces(y)]
    return "".join(f"M{piece}" if "L" in piece else f"M{piece}h0" for piece in pieces)


def _area(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    """Return the outline of the area between two curves, interrupted where one has a gap."""
    return "".join(
        _path(np.concatenate([x[i], x[i][::-1]]), np.concatenate([low[i], high[i][::-1]])) + "Z"
        for i in _pieces(low + high)
    )


def _pieces(values: np.ndarray) -> list[np.ndarray]:
    """Return the indices of the finite values, split where a gap interrupts them."""
    (finite,) = np.nonzero(np.isfinite(values))
    pieces = np.split(finite, np.nonzero(np.diff(finite) > 1)[0] + 1)
    return [piece for piece in pieces if len(piece)]


def _tooltips(curves: Sequence[Curve], axis: Axis, x_title: str) -> list[Tooltip]:
    """Return one column around every place of a point, with the numbers of all curves there."""
    values = np.unique(np.concatenate([curve.x for curve in curves]))
    places = axis(values)
    middles = (places[1:] + places[:-1]) / 2
    left, right = np.array([LEFT, *middles]), np.array([*middles, WIDTH - RIGHT])
    texts = ["\n".join([f"{x_title} {v:g}", *filter(None, (_numbers(c, v) for c in curves))]) for v in values]
    return [Tooltip(_round(a), _round(b - a), text) for a, b, text in zip(left, right, texts, strict=True)]


def _numbers(curve: Curve, value: float) -> str:
    (at,) = np.nonzero(curve.x == value)
    if not len(at):
        return ""
    y, low, high = (part[at[0]] for part in (curve.y, curve.low, curve.high))
    if not isfinite(y):
        return f"{curve.label}: not finite"
    spread = f" ({low:.4g} to {high:.4g})" if low < high else ""
    return f"{curve.label}: {y:.4g}{spread}"


def _round(number: float) -> float:
    return round(float(number), 1)
