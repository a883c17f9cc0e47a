"""Charts as numbers for small inline SVG: curves over steps with bands over seeds, and pass@k."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log2, log10
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from aent.report.content import Line, Metrics, Seed
from aent.report.figure import series

WIDTH, HEIGHT = 400, 240  # in the units of the SVG; a phone shows them at about 0.9 px each
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 40
POINTS = 100  # of a curve at most
MARKS = 5  # symbols on a curve


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A line with what spreads around it. Infinite bounds are left out."""

    slot: int | None
    """The style of its method; None is that of the policy before training."""
    label: str
    x: Float[np.ndarray, " points"]
    y: Float[np.ndarray, " points"]
    low: Float[np.ndarray, " points"]
    high: Float[np.ndarray, " points"]
    target: tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]] | None = None
    """The bounds the controller aims between."""


class Tick(NamedTuple):
    """A place along an axis and what is written there."""

    place: float
    text: str


class Drawn(NamedTuple):
    """A curve in the units of the SVG."""

    slot: int | None
    line: str
    spread: str
    target: str
    edges: Sequence[str]
    marks: Sequence[tuple[float, float]]


class Spot(NamedTuple):
    """A column of a chart that tells its numbers when pointed at."""

    left: float
    width: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart ready to be written."""

    title: str
    unit: str
    x_title: str
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    drawn: Sequence[Drawn]
    spots: Sequence[Spot]
    note: str


class Kind(NamedTuple):
    """A chart over training steps: its heading, unit, and the logged keys, the first that there is."""

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
    """Return the charts over training steps that something was logged for."""
    charts = []
    for kind in KINDS:
        curves = [c for slot, line in enumerate(lines) if (c := _over_steps(kind, slot, line)) is not None]
        if curves:
            longest = max(len(_logged(kind, line)[0]) for line in lines)
            size = ceil(longest / POINTS)
            note = f"each point is the mean of {size} logged rows" if size > 1 else ""
            charts.append(_chart(kind.title, kind.unit, "training step", curves, note, _even_ticks))
    return charts


def pass_chart(lines: Sequence[Line]) -> Chart | None:
    """Return pass@k over k, before and after training; None where nothing was evaluated."""
    after = [_pass_curve(slot, line.label, [s.after for s in line.seeds]) for slot, line in enumerate(lines)]
    before = [_pass_curve(None, "before training", [s.before for s in line.seeds]) for line in lines]
    first = [c for c in before if c is not None]
    same = all(c.y.shape == first[0].y.shape and np.allclose(c.y, first[0].y) for c in first)
    if not same:  # lines that began differently: each its own, with dashes
        first = [
            Curve(slot=None, label=f"{line.label}, before", x=c.x, y=c.y, low=c.low, high=c.high)
            for line, c in zip(lines, before, strict=True)
            if c is not None
        ]
    curves = [*first[: 1 if same else None], *(c for c in after if c is not None)]
    if not curves:
        return None
    return _chart("pass@k", "share of problems solved within k answers", "k", curves, "", _k_ticks)


def _logged(kind: Kind, line: Line) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps that all seeds logged, and the values there: seeds x steps."""
    found = [_first(kind.keys, seed) for seed in line.seeds]
    found = [dict(zip(*one, strict=True)) for one in found if len(one[0])]
    if not found:
        return np.zeros(0), np.zeros((0, 0))
    shared = sorted(set.intersection(*(set(one) for one in found)))
    return np.array(shared), np.array([[one[step] for step in shared] for one in found])


def _first(keys: Iterable[str], seed: Seed) -> tuple[list[float], list[float]]:
    for key in keys:
        steps, values = series(seed.rows, key)
        if len(steps):
            return steps.tolist(), values.tolist()
    return [], []


def _over_steps(kind: Kind, slot: int, line: Line) -> Curve | None:
    steps, values = _logged(kind, line)
    target = _target(line, steps) if kind.targets else None
    if not len(steps) or (kind.targets and target is None):
        return None
    values = _thinned(values)
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
    bounds = [
        [dict(zip(*_first((f"aent/{side}",), s), strict=True)) for s in line.seeds]
        for side in ("low", "high")
    ]
    if not any(seed for side in bounds for seed in side):
        return None
    low = np.array([min(seed.get(step, -np.inf) for seed in bounds[0]) for step in steps])
    high = np.array([max(seed.get(step, np.inf) for seed in bounds[1]) for step in steps])
    return low, high


def _thinned(values: Float[np.ndarray, "seeds steps"]) -> Float[np.ndarray, "seeds points"]:
    """Return means over neighbours, so that at most `POINTS` are left."""
    size = ceil(values.shape[1] / POINTS)
    starts = range(0, values.shape[1], max(size, 1))
    return np.array([[row[start : start + size].mean() for start in starts] for row in values])


def _pass_curve(slot: int | None, label: str, seeds: Sequence[Metrics | None]) -> Curve | None:
    """The mean over seeds and their range; with one seed its interval over problems."""
    found = [metrics for metrics in seeds if metrics is not None]
    if not found:
        return None
    names = [n for n in found[0] if n.startswith("pass@") and all(n in metrics for metrics in found)]
    estimates = np.array([[metrics[name] for name in names] for metrics in found])
    values = estimates[:, :, 0]
    alone = len(found) == 1
    return Curve(
        slot=slot,
        label=label,
        x=np.array([float(name.removeprefix("pass@")) for name in names]),
        y=values.mean(0),
        low=estimates[0, :, 1] if alone else values.min(0),
        high=estimates[0, :, 2] if alone else values.max(0),
    )


class Axis(NamedTuple):
    """How numbers become places; a logarithmic one takes their logarithm first."""

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
        x_ticks=x_ticks(curves, x),
        y_ticks=y_ticks,
        drawn=[_drawn(curve, x, y, top, bottom) for curve in curves],
        spots=_spots(curves, x, x_title),
        note=note,
    )


def _range(curves: Sequence[Curve]) -> tuple[float, float]:
    """Return the range of all that is finite, from 0 where it comes near; with some air."""
    parts = [part for c in curves for part in (c.low, c.high, *(c.target or ()))]
    values = np.concatenate(parts)
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    low = 0.0 if 0 <= low < 0.6 * high else low
    air = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return (low if low == 0 else low - air), high + air


def _nice(step: float) -> float:
    """Return 1, 2 or 5 times a power of ten, the first that is not below the step."""
    power = 10.0 ** floor(log10(step))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= step * (1 - 1e-9))


def _even_ticks(curves: Sequence[Curve], axis: Axis) -> list[Tick]:
    step = max(_nice((axis.last - axis.first) / 6), 1.0) if axis.last > axis.first else 1.0
    values = np.arange(ceil(axis.first / step), floor(axis.last / step) + 1) * step
    return [Tick(_round(p), f"{v:g}") for p, v in zip(axis(values), values, strict=True)]


def _k_ticks(curves: Sequence[Curve], axis: Axis) -> list[Tick]:
    values = np.unique(np.concatenate([curve.x for curve in curves]))
    return [Tick(_round(p), f"{v:g}") for p, v in zip(axis(values), values, strict=True)]


def _drawn(curve: Curve, x: Axis, y: Axis, top: float, bottom: float) -> Drawn:
    across, heights = x(curve.x), y(curve.y)
    every = max(1, len(across) // MARKS)
    # Curves of different methods carry their symbols at different steps.
    first = 0 if len(across) <= MARKS else (2 + 3 * (curve.slot or 0)) % every
    marks = list(zip(across, heights, strict=True))[first::every]
    target, edges = "", []
    if curve.target is not None:
        # A bound at infinity lies at the edge of the chart, and is not drawn as a line.
        low, high = (np.clip(bound, bottom, top) for bound in curve.target)
        target = _area(across, y(low), y(high))
        edges = [_path(across, y(b)) for b in curve.target if np.all(np.isfinite(b))]
    return Drawn(
        curve.slot,
        _path(across, heights),
        _area(across, y(curve.low), y(curve.high)) if np.any(curve.low < curve.high) else "",
        target,
        edges,
        [(_round(a), _round(b)) for a, b in marks],
    )


def _path(x: np.ndarray, y: np.ndarray) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _area(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    return _path(np.concatenate([x, x[::-1]]), np.concatenate([low, high[::-1]])) + "Z"


def _spots(curves: Sequence[Curve], axis: Axis, x_title: str) -> list[Spot]:
    """Return one column around every place that a curve has, with the numbers of all curves there."""
    values = np.unique(np.concatenate([curve.x for curve in curves]))
    places = axis(values)
    middles = (places[1:] + places[:-1]) / 2
    left, right = np.array([LEFT, *middles]), np.array([*middles, WIDTH - RIGHT])
    texts = ["\n".join([f"{x_title} {v:g}", *(t for c in curves if (t := _told(c, v)))]) for v in values]
    return [Spot(_round(a), _round(b - a), text) for a, b, text in zip(left, right, texts, strict=True)]


def _told(curve: Curve, value: float) -> str:
    (at,) = np.nonzero(curve.x == value)
    if not len(at):
        return ""
    y, low, high = (part[at[0]] for part in (curve.y, curve.low, curve.high))
    spread = f" ({low:.4g} to {high:.4g})" if low < high else ""
    return f"{curve.label}: {y:.4g}{spread}"


def _round(number: float) -> float:
    return round(float(number), 1)
