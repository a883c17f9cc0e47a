"""Which runs a table needs, and the rows computed from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from aent.statistics import Estimate, PerProblem, bootstrap, paired_bootstrap
from aent.study.cache import Runs
from aent.study.mdp import Job
from aent.study.settings import (
    METHODS,
    OPTIMAL,
    PAPER,
    PAPER_GAIN,
    SENSITIVITY,
    VOCABULARIES,
    Bonus,
    Variation,
    World,
)

COMPARED = ("none", "entropy", "clamped")
"""The three methods of the paper's figure; the sweeps compare these."""


@dataclass(frozen=True)
class Cell:
    """One entry of a table: a method in a world, and the setting varied there."""

    method: str
    world: World
    bonus: Bonus
    varied: str = ""
    value: float = 0.0

    def job(self, seeds: Sequence[int]) -> Job:
        """Return the runs of this cell."""
        return Job(self.world, self.bonus, tuple(seeds))


def jobs(cells: Sequence[Cell], seeds: Sequence[int]) -> list[Job]:
    """Return the runs of these cells, and the runs without a bonus that their gains are relative to."""
    return [each.job(seeds) for cell in cells for each in (cell, replace(cell, bonus=Bonus()))]


def comparison(world: World) -> list[Cell]:
    """Return every method at every number of optimal actions, as in the paper's figure."""
    return [
        Cell(name, replace(world, optimal=optimal), bonus)
        for optimal in OPTIMAL
        for name, bonus in METHODS.items()
    ]


def vocabulary(world: World) -> list[Cell]:
    """Vary the size of the vocabulary, for the paper's methods, at the most and the fewest optimal actions.

    The prior stays the same, except that it is never below that of a uniform policy.
    """
    return [
        Cell(name, _sized(world, actions, optimal), METHODS[name], "actions", actions)
        for optimal in (OPTIMAL[0], OPTIMAL[-1])
        for actions in VOCABULARIES
        for name in COMPARED
    ]


def _sized(world: World, actions: int, optimal: int) -> World:
    prior = max(world.prior, optimal / actions)
    return replace(world, actions=actions, optimal=optimal, prior=prior)


def sensitivity(world: World) -> list[Cell]:
    """Vary one setting at a time at the most optimal actions; the others stay as chosen."""
    return [
        _varied(name, replace(world, optimal=OPTIMAL[0]), variation, value)
        for variation in SENSITIVITY
        for value in variation.values
        for name in COMPARED
    ]


def _varied(name: str, world: World, variation: Variation, value: float) -> Cell:
    """Vary a field of the world or of the bonus; a method without that field stays as it is."""
    bonus, field, label = METHODS[name], variation.field, variation.field
    if variation.noise is not None:
        world, label = replace(world, noise=variation.noise), f"{field}, noise {variation.noise:g}"
    if field == "coef" and name != "none":
        bonus = replace(bonus, coef=value)
    elif field == "drop" and name == "clamped":
        bonus = replace(bonus, drop=value)
    elif field not in ("coef", "drop"):
        world = replace(world, **{field: value})
    return Cell(name, world, bonus, label, value)


def level(runs: Runs, cell: Cell, seeds: Sequence[int]) -> Estimate:
    """Return the average final reward, with a 95 % bootstrap interval over all states of all seeds."""
    return bootstrap(_finals(runs, cell, seeds))


def gain(runs: Runs, cell: Cell, seeds: Sequence[int]) -> Estimate:
    """Return the average final reward minus that without a bonus in the same world and seeds, likewise."""
    with_bonus = _finals(runs, cell, seeds)
    without = _finals(runs, replace(cell, bonus=Bonus()), seeds)
    ones = np.ones_like(with_bonus)
    return paired_bootstrap(PerProblem(without, ones), PerProblem(with_bonus, ones))


def _finals(runs: Runs, cell: Cell, seeds: Sequence[int]) -> np.ndarray:
    return np.concatenate(runs[cell.job(seeds)]["final"])


def row(runs: Runs, cell: Cell, seeds: Sequence[int]) -> dict[str, Any]:
    """Return one line of the results: settings, level and gain with intervals, each seed, the paper's."""
    now, more = level(runs, cell, seeds), gain(runs, cell, seeds)
    optimal = cell.world.optimal
    return {
        "method": cell.method,
        "optimal": optimal,
        "varied": cell.varied,
        "value": cell.value,
        "reward": now.value,
        "reward_low": now.low,
        "reward_high": now.high,
        "gain": more.value,
        "gain_low": more.low,
        "gain_high": more.high,
        "per_seed": np.mean(runs[cell.job(seeds)]["final"], axis=1).tolist(),
        "paper_reward": _published(PAPER, cell.method, optimal),
        "paper_gain": _published(PAPER_GAIN, cell.method, optimal),
    }


def _published(table: Mapping[str, Mapping[int, float]], method: str, optimal: int) -> float | None:
    return table.get(method, {}).get(optimal)


def verdicts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say of each claim of the paper's figure whether it holds, from the rows of `comparison`."""
    reward = {(r["method"], r["optimal"]): r["reward"] for r in rows}
    gains = {(r["method"], r["optimal"]): r for r in rows}
    lines = []
    for optimal in OPTIMAL:
        none, entropy, clamped = (reward[name, optimal] for name in COMPARED)
        holds = clamped > entropy >= none
        lines.append(
            f"{optimal:>2} optimal: clamped > entropy >= none {'holds' if holds else 'DOES NOT HOLD'}"
            f" ({clamped:.3f}, {entropy:.3f}, {none:.3f})"
        )
    for optimal in OPTIMAL:
        r = gains["entropy", optimal]
        gains_there = r["gain_low"] > 0
        as_published = gains_there == (optimal > 5)
        lines.append(
            f"{optimal:>2} optimal: the plain bonus {'gains' if gains_there else 'gains nothing'}"
            f" ({r['gain']:+.3f} [{r['gain_low']:+.3f}, {r['gain_high']:+.3f}]),"
            f" {'as' if as_published else 'UNLIKE'} in the paper"
        )
    return lines
