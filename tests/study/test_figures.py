"""What the study's pictures are drawn from; that they are PNG files is checked in tests/cli/test_study.py."""

import matplotlib.pyplot as plt
import pytest
from matplotlib.container import BarContainer

from aent.study import figures, plans
from aent.study.plans import Cell
from aent.study.settings import METHODS, WORLD, Bonus, World


def test_every_method_has_a_name_and_a_color_of_its_own():
    assert set(figures.NAMES) == set(figures.COLORS) == set(METHODS)
    assert len(set(figures.COLORS.values())) == len(METHODS)


def test_a_curve_is_the_mean_over_seeds_between_the_lowest_and_the_highest():
    _, axes = plt.subplots()
    cell = Cell("entropy", World(prior=0.1, lr=1.0), Bonus(coef=0.1))
    runs = {cell.job((0, 1)): {"step": [0, 20], "reward": [[0.0, 0.2], [0.5, 0.9]]}}
    figures._curve(axes, runs, cell, (0, 1))
    (line,), (area,) = axes.lines, axes.collections
    assert line.get_xydata().tolist() == [[0, pytest.approx(0.1)], [20, pytest.approx(0.7)]]
    corners = {tuple(map(float, point)) for point in area.get_paths()[0].vertices}
    assert corners == {(0.0, 0.0), (0.0, 0.2), (20.0, 0.5), (20.0, 0.9)}


def test_bars_stand_beside_the_paper_s():
    _, axes = plt.subplots()
    rows = [{"optimal": n, "gain": 0.1, "gain_low": 0.0, "gain_high": 0.3} for n in (15, 10, 5, 1)]
    figures._bars(axes, "clamped", rows)
    bars = [part for part in axes.containers if isinstance(part, BarContainer)]
    paper, ours = ([bar.get_height() for bar in part] for part in bars)
    assert paper == [0.56, 0.40, 0.24, 0.24]
    assert ours == [0.1] * 4


@pytest.mark.parametrize(
    ("sweep", "titles"),
    [
        (
            plans.sensitivity,
            [
                "Initial probability of optimal actions",
                "Step size",
                "Fraction dropped by the clamped entropy",
                "Entropy coefficient, noise 3",
                "Entropy coefficient, noise 10",
                "Entropy coefficient, noise 30",
            ],
        ),
        (plans.vocabulary, ["Number of actions, 15 optimal actions", "Number of actions, 1 optimal action"]),
    ],
)
def test_each_panel_of_a_sweep_has_its_own_title_and_names_its_axes(sweep, titles, tmp_path, monkeypatch):
    pages = []
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, *_, **__: pages.append(figure))
    rows = [
        {"method": cell.method, "optimal": cell.world.optimal, "varied": cell.varied, "value": cell.value,
         "reward": 0.5, "reward_low": 0.4, "reward_high": 0.6}
        for cell in sweep(WORLD)
    ]  # fmt: skip
    figures.draw_sweep(tmp_path / "sweep.png", "Average reward", rows)
    axes = pages[0].axes
    assert [each.get_title("left") for each in axes] == titles
    assert all(each.get_xlabel() for each in axes)
    first = [each for each in axes if each.get_subplotspec().is_first_col()]
    assert {each.get_ylabel() for each in first} == {"average reward"}
