"""Both studies from their settings to tables, figures and files."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from aent.errors import InputError
from aent.progress import progress_bar, say
from aent.records import json_text, versions, write_all
from aent.study import figures, plans
from aent.study.cache import Runs, finish
from aent.study.search import search
from aent.study.settings import METHODS, SEARCH_SEEDS, SWEEP_SEEDS, WORLD, World
from aent.study.tables import Rows, comparison_table, plain_table, sweep_table
from aent.study.theory import (
    CHECKS,
    SHAPES,
    Case,
    Clamp,
    check,
    clamp,
    describe,
    one_step_table,
    summary,
)


def compare_methods(
    world: World, seeds: Sequence[int], *, folder: Path, full: bool, workers: int, console: Console
) -> None:
    """Train every method at every number of optimal actions; print, draw and save what comes out.

    With `full`, also vary the size of the vocabulary and every setting, on the first two seeds. Finished runs
    are kept in ``runs.jsonl`` and reused.

    Raises:
        InputError: for seeds that repeat, are negative or were used to choose the settings, a world that
            cannot be run, no worker, or a folder that cannot be used.
    """
    require_seeds(seeds)
    require_workers(workers)
    world.check()
    if clash := set(seeds) & set(SEARCH_SEEDS):
        raise InputError(f"seeds {sorted(clash)} were used to choose the settings; give others")
    runs = Runs(folder / "runs.jsonl")
    cells = plans.comparison(world)
    finish(plans.jobs(cells, seeds), runs, console, "comparison", workers)
    rows = [plans.row(runs, cell, seeds) for cell in cells]
    figures.draw_mdp(folder / "study-mdp.png", runs, cells, rows, seeds)
    console.print(comparison_table(rows))
    verdicts = plans.verdicts(rows)
    for line in verdicts:
        console.print(line, highlight=False)
    sweeps = {"sensitivity": plans.sensitivity, "vocabulary": plans.vocabulary} if full else {}
    for name, sweep in sweeps.items():
        cells, fewer = sweep(world), seeds[:SWEEP_SEEDS]
        finish(plans.jobs(cells, fewer), runs, console, name, workers)
        part = [plans.row(runs, cell, fewer) for cell in cells]
        figures.draw_sweep(folder / f"study-{name}.png", f"Average reward: {name}", part)
        console.print(sweep_table(name, part))
        rows += part
    methods = {name: asdict(bonus) for name, bonus in METHODS.items()}
    results = {"world": asdict(world), "methods": methods, "seeds": seeds, "verdicts": verdicts, "rows": rows}
    _save(folder, results, rows, "results.csv")
    pictures = ", ".join(sorted(path.name for path in folder.glob("study-*.png")))
    say(console, f"{folder}: results.json, results.csv, runs.jsonl, {pictures}")


def repeat_search(*, folder: Path, workers: int, console: Console) -> None:
    """Search for the settings again and print the result beside the settings in use.

    Raises:
        InputError: if there is no worker, or the folder cannot be used.
    """
    require_workers(workers)
    world, bonuses = search(Runs(folder / "runs.jsonl"), console, workers)
    say(console, f"world: {world}")
    console.print(f"in the settings: {'the same' if world == WORLD else WORLD}", highlight=False)
    for name, bonus in bonuses.items():
        same = "the same" if bonus == METHODS[name] else METHODS[name]
        say(console, f"{name}: {bonus}\nin the settings: {same}")


def check_propositions(seeds: Sequence[int], *, folder: Path, full: bool, console: Console) -> list[Case]:
    """Check both propositions on random MDPs; print, draw and save what comes out; return the violations.

    With `full`, ten times as many seeds, counted on from the last one.

    Raises:
        InputError: for seeds that repeat or are negative, or a folder that cannot be written.
    """
    require_seeds(seeds)
    last = max(seeds)
    seeds = [*seeds, *(range(last + 1, last + 1 + 9 * len(seeds)) if full else ())]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error}; give another --output") from error
    cases = _all_cases(seeds, console)
    clamps = clamp(seeds[0])
    figures.draw_theory(folder / "study-theory.png", cases, clamps)
    propositions = [summary(name, cases) for name in CHECKS]
    bias, steps = [_bias(c) for c in clamps], one_step_table()
    console.print(plain_table("propositions: value / bound", propositions))
    console.print(plain_table("bias of the clamped entropy, V* - V", bias))
    console.print(plain_table("one step", steps))
    results = {"seeds": seeds, "propositions": propositions, "clamping": bias, "one step": steps}
    rows = [{**asdict(case), "where": "/".join(map(str, case.where))} for case in cases]
    _save(folder, results, rows, "cases.csv")
    say(console, f"{folder}: cases.csv, results.json, study-theory.png")
    violations = [case for case in cases if case.violated]
    for case in violations:
        say(console, f"VIOLATED: {case}")
        say(console, describe(case))
    return violations


def require_seeds(seeds: Sequence[int]) -> None:
    """Raise unless there is a seed, each occurs once and none is negative.

    Raises:
        InputError: naming the seeds.
    """
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise InputError(f"--seeds {list(seeds)}: give at least one, each once, none negative")


def require_workers(workers: int) -> None:
    """Raise unless there is at least one process.

    Raises:
        InputError: naming the number.
    """
    if workers < 1:
        raise InputError(f"--workers {workers} must be at least 1: the number of processes")


def _all_cases(seeds: Sequence[int], console: Console) -> list[Case]:
    cases: list[Case] = []
    with progress_bar(console) as bar:
        for seed in bar.track(seeds, description="random MDPs"):
            for shape in range(len(SHAPES)):
                cases += check(seed, shape)
    return cases


def _bias(c: Clamp) -> dict[str, Any]:
    return {"kept": c.kept, "best": float(c.best.mean()), "worst": float(c.worst.mean()), "bound": c.bound}


def _save(folder: Path, results: dict[str, Any], rows: Rows, table: str) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    record = json_text({**results, "versions": versions()}, indent=1) + "\n"
    write_all({folder / "results.json": record, folder / table: text.getvalue()})
