"""The rules of the search, on levels that are made up."""

import numpy as np
import pytest
from rich.console import Console

from aent.errors import InputError
from aent.study import search
from aent.study.settings import BONUS_GRID, PAPER, WORLD_GRID, Bonus

STEPS = [0, 200, 400, 600, 800, 1000, 2000]


class Runs:
    """Levels by prior and step size, in place of what would be trained."""

    def __init__(self, rises, reward):
        self.rises, self.reward = rises, reward

    def __getitem__(self, job):
        if job.bonus == Bonus():
            half = self.rises(job.world)
            level = PAPER["none"][job.world.optimal] + abs(np.log10(job.world.prior / 0.01)) + job.world.lr
            curve = [[0.0] if step < half else [level] for step in STEPS]
            return {"step": STEPS, "reward": curve, "final": [[level]]}
        return {"final": [[self.reward(job.bonus)]]}


@pytest.fixture(autouse=True)
def _nothing_is_trained(monkeypatch):
    monkeypatch.setattr(search, "finish", lambda *_: None)


def chosen(rises=lambda world: 600, reward=lambda bonus: 0.0):
    return search.search(Runs(rises, reward), Console(quiet=True), workers=1)


def test_the_nearest_world_that_rises_in_time_is_taken():
    """Made up: the distance to the paper is 3 (|log10(prior / .01)| + lr), so .01 and 1 are nearest."""
    assert (chosen()[0].prior, chosen()[0].lr) == (0.01, 1.0)
    late = chosen(rises=lambda world: 2000 if world.lr == 1.0 else 400)
    assert (late[0].prior, late[0].lr) == (0.01, 2.0)


def test_without_a_world_that_rises_in_time_it_says_so():
    with pytest.raises(InputError, match="no world of the grid rises between steps 400 and 1000"):
        chosen(rises=lambda world: 200)


def test_of_equals_the_first_and_else_the_highest():
    first = {name: {**grid[0]} for name, grid in BONUS_GRID.items()}
    for name, bonus in chosen()[1].items():
        assert {field: getattr(bonus, field) for field in first[name]} == first[name]
    assert chosen(reward=lambda bonus: bonus.coef)[1]["entropy"].coef == 0.032


def test_an_adaptive_method_starts_at_the_constant_one_s_choice():
    _, bonuses = chosen(reward=lambda bonus: bonus.coef + bonus.drop)
    assert (bonuses["clamped"].coef, bonuses["clamped"].drop) == (0.008, 0.999)
    assert (bonuses["band"].coef, bonuses["band"].drop) == (0.008, 0.999)
    assert (bonuses["lagrangian"].coef, bonuses["lagrangian"].drop) == (bonuses["entropy"].coef, 0.0)


def test_every_world_of_the_grid_is_tried():
    tried = []
    chosen(rises=lambda world: tried.append((world.prior, world.lr)) or 600)
    assert set(tried) == {(p, lr) for p in WORLD_GRID["prior"] for lr in WORLD_GRID["lr"]}
