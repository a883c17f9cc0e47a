import math
import sys

import matplotlib
import numpy as np
import pytest
from PIL import Image

from aent.errors import InputError
from aent.report.content import Line, Seed
from aent.report.figure import apart, comparison_figure, series, training_figure
from aent.statistics import Estimate


def run(steps: int = 50, **changes) -> list[dict]:
    rows = []
    for step in range(1, steps + 1):
        row = {
            "step": step,
            "reward": step / steps,
            "entropy": 2.0,
            "aent/entropy": 0.5,
            "aent/full_entropy": 1.0,
            "aent/coef": 0.01,
            "aent/low": 0.3,
            "aent/high": 0.6,
            **changes,
        }
        rows.append({key: value for key, value in row.items() if value is not None})
    return rows


NO_METHOD = dict.fromkeys(["aent/entropy", "aent/full_entropy", "aent/coef", "aent/low", "aent/high"])


def titles(figure):
    return [axes.get_title("left").split(" (")[0] for axes in figure.axes]


def names(axes):
    return {text.get_text() for text in axes.texts}


def lines(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_a_run_with_a_method_has_three_panels(tmp_path):
    figure = training_figure(
        run(),
        tmp_path / "run.png",
        title="Countdown",
        baseline=run(**NO_METHOD, entropy=0.1),
        labels=("AEnt", "GRPO"),
    )
    assert titles(figure) == ["Reward", "Entropy", "Entropy coefficient"]
    reward, entropy, coef = figure.axes
    assert names(reward) == {"AEnt", "GRPO"}
    assert names(entropy) == {"AEnt, full", "AEnt, clamped", "GRPO, full", "band"}
    assert names(coef) == {"AEnt"}
    drawn = {name: line.get_ydata()[-1] for name, line in lines(entropy).items()}
    assert drawn == pytest.approx({"AEnt, full": 1.0, "AEnt, clamped": 0.5, "GRPO, full": 0.1})
    band = entropy.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == pytest.approx((0.3, 0.6))
    with Image.open(tmp_path / "run.png") as image:
        image.load()
        assert image.format == "PNG"
        assert image.width == 1800
    assert figure.get_suptitle() == "Countdown"


def test_a_run_without_a_method_shows_what_trl_logs(tmp_path):
    rows = run(**NO_METHOD)
    figure = training_figure(rows, tmp_path / "run.png", title="x", labels=("GRPO", ""))
    assert titles(figure) == ["Reward", "Entropy"]
    assert names(figure.axes[1]) == {"GRPO"}
    assert lines(figure.axes[1])["GRPO"].get_ydata()[0] == pytest.approx(2.0)


def test_a_single_panel_and_a_single_step(tmp_path):
    figure = training_figure([{"step": 3, "reward": 1.0}], tmp_path / "run.png", title="x")
    assert titles(figure) == ["Reward"]


def test_a_bound_that_is_infinite_or_missing_is_not_shaded(tmp_path):
    for high in (math.inf, None):
        figure = training_figure(run(**{"aent/high": high}), tmp_path / "run.png", title="x")
        entropy = figure.axes[1]
        assert not entropy.collections
        assert "bound" in names(entropy)


def test_rows_without_the_key_are_skipped_and_one_without_a_finite_number_is_not():
    rows = [
        {"step": 1, "reward": 0.5},
        {"step": 2, "eval_loss": 1.0},
        {"train_runtime": 3.0},
        {"step": 4, "reward": math.nan},
        {"step": 5, "reward": 0.7},
        {"step": 6, "reward": None},
    ]
    assert series(rows, "reward").steps.tolist() == [1, 4, 5]
    assert series(rows, "reward").values.tolist() == pytest.approx([0.5, math.nan, 0.7], nan_ok=True)


def test_a_value_that_is_not_finite_is_a_gap_that_the_title_explains(tmp_path):
    rows = [{"step": t, "reward": 1.0, "aent/coef": 0.1} for t in range(80)]
    for step in (40, 41, 43):
        rows[step]["reward"] = math.nan
    figure = training_figure(rows, tmp_path / "run.png", title="x")
    reward, coef = figure.axes
    assert reward.get_title("left") == "Reward; gaps: not finite"
    assert coef.get_title("left") == "Entropy coefficient"
    (smooth,) = lines(reward).values()
    assert np.nonzero(np.isnan(smooth.get_ydata()))[0].tolist() == [40, 41, 43]
    assert np.nanmax(np.abs(smooth.get_ydata() - 1)) < 1e-12  # what is missing does not count as 0
    assert smooth.get_markevery() == [42]  # a line shows nothing of one point between two gaps


def test_a_run_that_is_not_finite_at_all_has_an_empty_panel(tmp_path):
    figure = training_figure([{"step": 1, "reward": math.nan}], tmp_path / "run.png", title="x")
    assert titles(figure) == ["Reward; gaps: not finite"]
    assert names(figure.axes[0]) == {"this run"}


def test_nothing_to_draw_is_refused(tmp_path):
    with pytest.raises(InputError, match="nothing to draw"):
        training_figure([{"step": 1, "loss": 0.3}], tmp_path / "run.png", title="x")
    assert not list(tmp_path.iterdir())


def test_drawing_leaves_matplotlib_as_it_was(tmp_path, monkeypatch):
    def settings():
        # Looking the backend up would choose one.
        return {k: v for k, v in matplotlib.rcParams.copy().items() if k != "backend"}

    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    before = settings()
    training_figure(run(), tmp_path / "run.png", title="x")
    assert settings() == before
    assert "matplotlib.pyplot" not in sys.modules


def test_the_thick_line_is_the_mean_around_a_step(tmp_path):
    # 80 steps: two on either side; a single spike of 1 is spread over five steps.
    rows = [{"step": t, "reward": float(t == 40)} for t in range(80)]
    figure = training_figure(rows, tmp_path / "run.png", title="x")
    smooth = lines(figure.axes[0])["this run"].get_ydata()
    assert smooth[37:44] == pytest.approx([0, 0.2, 0.2, 0.2, 0.2, 0.2, 0])


@pytest.mark.parametrize(
    ("heights", "due"),
    [
        ([0.0, 30.0], [0, 30]),  # room enough
        ([5.0, 5.0], [0, 10]),  # moved by the same way
        # Pushed up 0, 10, 20; pushed down -15, -5, 5; half way between the two.
        ([0.0, 5.0, 5.0], [-7.5, 2.5, 12.5]),
        ([0.0, 40.0, 40.0], [0, 35, 45]),  # the first has room and stays
    ],
)
def test_names_are_moved_apart(heights, due):
    placed = apart(np.array(heights), gap=10.0)
    assert np.all(np.diff(placed) >= 10 - 1e-9)
    assert placed == pytest.approx(due)


def line(label, *seeds, once=(0.2, 0.3)):
    """A method whose runs have these entropies at steps 10 and 20, and pass@1 before and after training."""
    before, after = (
        {
            "pass@1": Estimate(v, v - 0.1, v + 0.1),
            "pass@4": Estimate(v, v, v),
            "pass@16": Estimate(2 * v, v, 1.0),
        }
        for v in once
    )
    rows = [[{"step": 10, "entropy": one}, {"step": 20, "entropy": two}] for one, two in seeds]
    return Line(label=label, seeds=[Seed(name="run", rows=r, before=before, after=after) for r in rows])


def test_a_comparison_shows_entropy_and_the_smallest_and_largest_k(tmp_path):
    methods = [line("none", (0.6, 0.2), (0.4, 0.4)), line("aent", (0.6, 0.5), once=(0.2, 0.25))]
    figure = comparison_figure(methods, tmp_path / "picture.png", title="GRPO on countdown")
    assert titles(figure) == ["Entropy", "pass@1, unseen problems", "pass@16, unseen problems"]
    entropy, once, often = figure.axes
    drawn = {name: list(drawn.get_ydata()) for name, drawn in lines(entropy).items()}
    assert drawn == {"none": pytest.approx([0.5, 0.3]), "aent": pytest.approx([0.6, 0.5])}  # means over seeds
    assert [list(drawn.get_ydata()) for drawn in once.lines] == [[0.2, 0.3], [0.2, 0.25]]
    assert [list(drawn.get_ydata()) for drawn in often.lines] == [[0.4, 0.6], [0.4, 0.5]]
    assert len(once.collections) == 1  # an interval over problems only where there is one seed
    assert Image.open(tmp_path / "picture.png").width > 1000


def test_a_comparison_without_evaluations_shows_entropy_alone(tmp_path):
    bare = [
        Line(
            label="none",
            seeds=[Seed(name="run", rows=[{"step": 10, "entropy": 0.6}], before=None, after=None)],
        )
    ]
    assert titles(comparison_figure(bare, tmp_path / "picture.png", title="GRPO")) == ["Entropy"]


def test_the_mean_over_runs_pairs_steps_not_rows(tmp_path):
    """The second run logs a step more, the third none at all: at step 10, (0.6 + 0.2) / 2."""
    rows = [
        [{"step": 10, "entropy": 0.6}, {"step": 20, "entropy": 0.4}],
        [{"step": 5, "entropy": 0.9}, {"step": 10, "entropy": 0.2}, {"step": 20, "entropy": 0.0}],
        [],
    ]
    seeds = [Seed(name="run", rows=r, before=None, after=None) for r in rows]
    figure = comparison_figure([Line(label="none", seeds=seeds)], tmp_path / "picture.png", title="GRPO")
    drawn = lines(figure.axes[0])["none"]
    assert list(drawn.get_xdata()) == [10, 20]
    assert list(drawn.get_ydata()) == pytest.approx([0.4, 0.2])


def test_runs_that_logged_nothing_draw_nothing(tmp_path):
    seeds = [Seed(name="run", rows=[], before=None, after=None)]
    figure = comparison_figure([Line(label="none", seeds=seeds)], tmp_path / "picture.png", title="GRPO")
    assert not len(lines(figure.axes[0])["none"].get_ydata())


def test_values_whose_sums_would_overflow_are_gaps(tmp_path):
    rows = [{"step": t, "reward": value} for t, value in enumerate((0.5, 1.7e308, -1.7e308, math.nan))]
    np.testing.assert_array_equal(series(rows, "reward").values, [0.5, math.inf, -math.inf, math.nan])
    figure = training_figure(rows, tmp_path / "run.png", title="x")
    assert titles(figure) == ["Reward; gaps: not finite"]
