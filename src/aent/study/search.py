"""How the settings were chosen: ``aent study mdp --search``, on seeds that no result uses.

1. The world, from runs without any bonus. Candidates are the worlds whose average reward at 15 optimal
actions
   gets half way up between steps 400 and 1,000, as the paper's does. The search takes the one whose final
   levels at 15, 10 and 1 optimal actions are nearest to the paper's, by the sum of absolute differences.
2. Each method by itself, in that world, at 15 optimal actions. Of four settings (six for the clamped entropy,
   which has two settings to choose), the search takes the one with the highest final reward; the first of
   equals.

No criterion looks at two methods at once, so none can favor an ordering.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from aent.errors import InputError
from aent.study.cache import Runs, finish
from aent.study.mdp import Job
from aent.study.settings import BONUS_GRID, PAPER, RISE, SEARCH_SEEDS, WORLD_GRID, Bonus, World

STARTS = {"lagrangian": "entropy", "band": "clamped"}
"""An adaptive method starts at the coefficient (and subset) chosen for its constant counterpart."""


def search(runs: Runs, console: Console, workers: int) -> tuple[World, dict[str, Bonus]]:
    """Choose the world, then each method's settings; print both rankings."""
    worlds = list(_worlds())
    jobs = [job for world in worlds for job in _levels(world).values()]
    finish(jobs, runs, console, "search, no bonus", workers)
    world = _choose_world(worlds, runs, console)
    chosen: dict[str, Bonus] = {}
    for name, grid in BONUS_GRID.items():
        start = chosen.get(STARTS.get(name, ""), Bonus())
        tried: list[Bonus] = [replace(start, **fields) for fields in grid]
        jobs = [Job(world, bonus, SEARCH_SEEDS) for bonus in tried]
        finish(jobs, runs, console, f"search, {name}", workers)
        rewards = [_final(runs, job) for job in jobs]
        chosen[name] = tried[int(np.argmax(rewards))]
        console.print(_ranking(name, grid, rewards))
    return world, chosen


def _worlds() -> Iterator[World]:
    for values in product(*WORLD_GRID.values()):
        fields: dict[str, Any] = dict(zip(WORLD_GRID, values, strict=True))
        yield World(**fields)


def _levels(world: World) -> dict[int, Job]:
    return {n: Job(replace(world, optimal=n), Bonus(), SEARCH_SEEDS) for n in PAPER["none"]}


def _choose_world(worlds: Sequence[World], runs: Runs, console: Console) -> World:
    scored = []
    for world in worlds:
        at = _levels(world)
        levels = {n: _final(runs, job) for n, job in at.items()}
        distance = sum(abs(levels[n] - PAPER["none"][n]) for n in levels)
        scored.append((distance, _half_way(runs, at[15]), levels, world))
    inside = [row for row in scored if RISE[0] <= row[1] <= RISE[1]]
    if not inside:
        raise InputError(
            f"no world of the grid rises between steps {RISE[0]} and {RISE[1]}; widen WORLD_GRID"
        )
    table = Table(title=f"worlds that rise at {RISE[0]}-{RISE[1]}: {len(inside)} of {len(worlds)}")
    for column in (*WORLD_GRID, "half way, step", *(f"at {n}" for n in PAPER["none"]), "distance"):
        table.add_column(column, justify="right", overflow="fold")
    inside.sort(key=lambda row: row[0])
    for distance, half, levels, world in inside:
        fields = [f"{getattr(world, name):g}" for name in WORLD_GRID]
        table.add_row(*fields, f"{half:.0f}", *(f"{v:.2f}" for v in levels.values()), f"{distance:.2f}")
    console.print(table)
    return inside[0][3]


def _final(runs: Runs, job: Job) -> float:
    return float(np.mean(runs[job]["final"]))


def _half_way(runs: Runs, job: Job) -> float:
    """Return the first step at which the mean curve is half way from its start to the final level."""
    curve = np.mean(runs[job]["reward"], axis=1)
    reached = curve >= (curve[0] + _final(runs, job)) / 2
    return runs[job]["step"][int(np.argmax(reached))] if reached.any() else np.inf


def _ranking(name: str, grid: Sequence[dict[str, object]], rewards: Sequence[float]) -> Table:
    table = Table(title=f"{name}, 15 optimal actions")
    for column in (*grid[0], "reward"):
        table.add_column(column, justify="right", overflow="fold")
    for fields, reward in sorted(zip(grid, rewards, strict=True), key=lambda row: -row[1]):
        table.add_row(
            *(f"{v:g}" if isinstance(v, float) else str(v) for v in fields.values()), f"{reward:.3f}"
        )
    return table
