"""Which runs are asked for, and what is said of them."""

from dataclasses import asdict

import pytest

from aent.study import plans
from aent.study.settings import METHODS, OPTIMAL, WORLD


def test_the_comparison_changes_nothing_but_method_and_optimal_actions():
    cells = plans.comparison(WORLD)
    assert [(cell.world.optimal, cell.method) for cell in cells] == [(n, m) for n in OPTIMAL for m in METHODS]
    assert {cell.world.lr for cell in cells} == {WORLD.lr}
    assert all(cell.bonus == METHODS[cell.method] for cell in cells)


def test_a_sensitivity_run_differs_in_what_it_says():
    """In the field that is varied, and in the noise where its label names one."""
    chosen = asdict(WORLD)
    for cell in plans.sensitivity(WORLD):
        field, _, noise = cell.varied.partition(", noise ")
        world = {k: v for k, v in asdict(cell.world).items() if v != chosen[k] and k != "optimal"}
        bonus = {k: v for k, v in asdict(cell.bonus).items() if v != asdict(METHODS[cell.method])[k]}
        assert set(world) | set(bonus) <= {field} | ({"noise"} if noise else set())
        assert (world | bonus).get(field, cell.value) == cell.value


def test_vocabularies_keep_the_prior_at_or_above_uniform():
    for cell in plans.vocabulary(WORLD):
        assert cell.world.actions == cell.value
        assert cell.world.prior == max(WORLD.prior, cell.world.optimal / cell.world.actions)


def rows(**rewards):
    return [
        {"method": method, "optimal": n, "reward": reward, "gain": 0.1, "gain_low": low, "gain_high": 0.2}
        for method, (reward, low) in rewards.items()
        for n in OPTIMAL
    ]


@pytest.mark.parametrize(
    ("found", "ordering", "gain"),
    [
        (rows(none=(0.2, 0), entropy=(0.3, 0.05), clamped=(0.5, 0.1)), "none holds", "AAUU"),
        (rows(none=(0.2, 0), entropy=(0.2, -0.1), clamped=(0.5, 0.1)), "none holds", "UUAA"),
        (rows(none=(0.2, 0), entropy=(0.3, -0.1), clamped=(0.3, 0.1)), "none DOES NOT HOLD", "UUAA"),
        (rows(none=(0.2, 0), entropy=(0.1, -0.2), clamped=(0.3, 0.1)), "none DOES NOT HOLD", "UUAA"),
    ],
    ids=["both", "no gain", "clamped no better", "bonus worse"],
)
def test_verdicts_say_what_came_out(found, ordering, gain):
    lines = plans.verdicts(found)
    assert all(ordering in line for line in lines[: len(OPTIMAL)])
    said = ["A" if " as in the paper" in line else "U" for line in lines[len(OPTIMAL) :]]
    assert "".join(said) == gain  # published: a gain at 15 and 10, none at 5 and 1
