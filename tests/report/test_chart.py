import math

import numpy as np
import pytest

from aent.report.chart import HEIGHT, LEFT, RIGHT, TOP, WIDTH, pass_chart, training_charts
from aent.report.content import Line, Seed
from aent.report.page import styles
from aent.statistics import Estimate


def seed(rewards, steps=None, before=None, after=None, **logged):
    steps = steps or range(1, len(rewards) + 1)
    rows = [{"step": t, "reward": r, **logged} for t, r in zip(steps, rewards, strict=True)]
    return Seed(name="run", rows=rows, before=before, after=after)


def chart(title, *lines):
    return next(c for c in training_charts(lines) if c.title == title)


def told(chart):
    return [tooltip.text.split("\n") for tooltip in chart.tooltips]


def test_a_line_is_the_mean_over_seeds_with_their_range_at_the_steps_they_share():
    one = Line(label="aent", seeds=[seed([0.0, 0.5, 1.0]), seed([0.2, 0.7, 0.9], steps=[1, 2, 4])])
    assert told(chart("Reward", one)) == [
        ["training step 1", "aent: 0.1 (0 to 0.2)"],
        ["training step 2", "aent: 0.6 (0.5 to 0.7)"],
    ]


def test_places_by_hand():
    """From step 0 to 10 and reward 0 to 1: the axis ends 6 % above the highest value."""
    (only,) = training_charts([Line(label="a", seeds=[seed([0.0, 1.0], steps=[0, 10])])])
    (drawn,) = only.traces
    bottom = HEIGHT - 40
    right, top = WIDTH - RIGHT, bottom - (bottom - TOP) / 1.06
    assert drawn.line == f"M{LEFT}.0 {bottom}.0L{right}.0 {top:.1f}"
    assert drawn.spread == ""
    assert [tick.text for tick in only.y_ticks] == ["0", "0.5", "1"]
    assert [tick.text for tick in only.x_ticks] == ["0", "2", "4", "6", "8", "10"]
    assert only.y_ticks[0].place == bottom


def test_a_long_curve_is_thinned_and_says_so():
    long = chart("Reward", Line(label="a", seeds=[seed([float(t % 2) for t in range(400)])]))
    assert len(long.tooltips) == 100
    assert long.note == "each point is the mean of 4 logged rows"
    assert told(long)[0] == ["training step 2.5", "a: 0.5"]
    assert chart("Reward", Line(label="a", seeds=[seed([0.0] * 100)])).note == ""


def test_full_entropy_is_the_methods_own_or_what_trl_logs():
    ours = Line(label="aent", seeds=[seed([1.0], entropy=2.0, **{"aent/full_entropy": 0.5})])
    plain = Line(label="none", seeds=[seed([1.0], entropy=2.0)])
    assert told(chart("Entropy", ours, plain)) == [["training step 1", "aent: 0.5", "none: 2"]]
    assert not [c for c in training_charts([plain]) if "target" in c.title]


def test_a_target_is_shaded_between_its_bounds_and_an_infinite_one_is_no_line():
    def line(**bounds):
        logged = {"aent/entropy": 0.5, **{f"aent/{k}": v for k, v in bounds.items()}}
        return Line(label="aent", seeds=[seed([1.0, 1.0], **logged)])

    both = chart("Entropy held to a target", line(low=0.3, high=0.6))
    assert len(both.traces[0].edges) == 2
    scale = {tick.text: tick.place for tick in both.y_ticks}
    assert f" {scale['0.6']}" in both.traces[0].edges[1]
    lower = chart("Entropy held to a target", line(low=0.3, high=math.inf))
    assert len(lower.traces[0].edges) == 1
    assert f" {TOP:.1f}" in lower.traces[0].target  # up to the edge of the chart
    assert "nan" not in lower.traces[0].target + lower.traces[0].line


def passes(one, four, width=0.0):
    return {"pass@1": Estimate(one, one - width, one + width), "pass@4": Estimate(four, four, four)}


def test_pass_at_k_has_one_line_before_where_all_began_alike():
    lines = [
        Line(label=label, seeds=[seed([], before=passes(0.2, 0.8), after=passes(0.4, after))])
        for label, after in (("none", 0.5), ("aent", 0.7))
    ]
    drawn = pass_chart(lines)
    assert [trace.slot for trace in drawn.traces] == [None, 0, 1]
    assert told(drawn)[1] == ["k 4", "before training: 0.8", "none: 0.5", "aent: 0.7"]
    assert [tick.text for tick in drawn.x_ticks] == ["1", "4"]
    lines[1] = Line(label="aent", seeds=[seed([], before=passes(0.3, 0.8), after=passes(0.4, 0.7))])
    assert told(pass_chart(lines))[0][1:3] == ["none, before: 0.2", "aent, before: 0.3"]


def test_pass_at_k_spreads_over_problems_for_one_seed_and_over_seeds_for_several():
    alone = Line(label="a", seeds=[seed([], after=passes(0.4, 0.5, width=0.1))])
    assert told(pass_chart([alone]))[0] == ["k 1", "a: 0.4 (0.3 to 0.5)"]
    two = Line(label="a", seeds=[seed([], after=passes(x, 0.5, width=0.1)) for x in (0.4, 0.6)])
    assert told(pass_chart([two]))[0] == ["k 1", "a: 0.5 (0.4 to 0.6)"]
    assert pass_chart([Line(label="a", seeds=[seed([1.0])])]) is None


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0, 1e-7])
def test_a_constant_curve_has_an_axis(value):
    flat = chart("Reward", Line(label="a", seeds=[seed([value, value])]))
    heights = [float(part.split()[1]) for part in flat.traces[0].line[1:].split("L")]
    assert all(TOP <= height <= HEIGHT for height in heights)
    assert len(flat.y_ticks) >= 2


def test_no_two_lines_look_alike_also_without_colour():
    found = [(style.dash, style.symbol) for style in styles(21)]
    assert len(set(found)) == 21


def test_thinning_keeps_the_mean():
    rewards = np.random.default_rng(0).random(300)
    thinned = chart("Reward", Line(label="a", seeds=[seed(rewards.tolist())]))
    means = [float(lines[1].split(": ")[1]) for lines in told(thinned)]
    assert np.mean(means) == pytest.approx(rewards.mean(), abs=1e-3)


def pieces(path):
    """The number of points in each piece of an SVG path."""
    return [1 + part.count("L") for part in path.split("M")[1:]]


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf, 1.7e308])  # sums of the last overflow
def test_a_value_that_is_not_finite_is_a_gap(broken):
    gap = chart("Reward", Line(label="a", seeds=[seed([0.0, 1.0, broken, broken, 1.0, broken, 0.5])]))
    (trace,) = gap.traces
    assert pieces(trace.line) == [2, 1, 1]
    assert trace.line.count("h0") == 2  # a point between two gaps is a dot
    assert len(trace.marks) <= 4
    assert "nan" not in f"{trace} {gap.y_ticks}"
    assert told(gap)[2:5] == [
        ["training step 3", "a: not finite"],
        ["training step 4", "a: not finite"],
        ["training step 5", "a: 1"],
    ]
    assert "a gap stands for values that are not finite" in gap.note
    assert chart("Reward", Line(label="a", seeds=[seed([0.0, 1.0])])).note == ""


def test_one_seed_that_collapses_interrupts_the_mean_and_the_band():
    """A mean over the other seeds would hide it."""
    seeds = [seed([0.0, 0.5, math.nan, 0.5]), seed([0.2, 0.7, 0.9, 0.7])]
    (trace,) = chart("Reward", Line(label="a", seeds=seeds)).traces
    assert pieces(trace.line) == [2, 1]
    assert pieces(trace.spread) == [4, 2]  # there and back
    assert trace.spread.count("Z") == 2


def test_a_gap_is_not_averaged_away_in_a_long_curve():
    rewards = [1.0] * 400
    rewards[201] = math.nan
    long = chart("Reward", Line(label="a", seeds=[seed(rewards)]))
    assert pieces(long.traces[0].line) == [50, 49]
    assert long.note == (
        "each point is the mean of 4 logged rows; "
        "a gap stands for values that are not finite (NaN or infinite)"
    )


def test_a_curve_without_a_finite_value_is_an_empty_chart():
    empty = chart("Reward", Line(label="a", seeds=[seed([math.nan, math.nan])]))
    assert empty.traces[0].line == ""
    assert [tick.text for tick in empty.y_ticks][::5] == ["0", "1"]
    assert "a gap stands for" in empty.note
