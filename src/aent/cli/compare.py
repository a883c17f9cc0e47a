"""``aent compare``: methods x algorithms x seeds on one recipe, with paired differences."""

import fcntl
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from aent.errors import InputError
from aent.report.gather import report_content
from aent.report.page import write_page
from aent.runs.comparison import LOCK, Comparison, ComparisonFolder, Job, load_entrants
from aent.runs.folder import REPORT
from aent.runs.logged import line
from aent.runs.outcome import comparison_table, outcome
from aent.spec import take_flags
from aent.training.workers import Workers

HELP = """\
usage: aent compare RECIPE --methods A,B,... [--seeds 0-4] [FLAGS]

Train a recipe with each method, algorithm and seed, in processes of their own, and compare what came out.
Given again, it goes on where it was stopped; a finished run is never repeated.

--methods A,B,...   names, or the path of a YAML file: {label: {method: SPEC, flags: {learning_rate: 1e-4}}}
--baseline LABEL    what the others are measured against (default: none, else the first)
--algorithms A,...  (default: the recipe's)
--seeds LIST        for instance 0-4 or 0,1,7 (default 0-2)
--output_dir DIR    (default: runs/compare-RECIPE)
--jobs N            runs at a time (default: one per GPU, else one per core)
--FLAG V            any flag of aent train, for every run: --max_steps 100, --task.numbers 4, ...
"""
OWN = ("methods", "baseline", "algorithms", "seeds", "output_dir", "jobs")


def main(argv: Sequence[str]) -> int:
    """Run what is missing, then print and write the comparison."""
    if "-h" in argv or "--help" in argv or not argv:
        print(HELP)
        return 0 if argv else 2
    if argv[0].startswith("-"):
        raise InputError("a recipe comes first: aent compare RECIPE --methods A,B")
    own, flags = take_flags(argv[1:], OWN)
    comparison = _comparison(argv[0], own, tuple(flags))
    if not own.get("jobs", "1").isdigit() or own.get("jobs") == "0":
        raise InputError(f"--jobs {own['jobs']!r} is not a number of runs, 1 or more")
    folder = ComparisonFolder(Path(own.get("output_dir", f"runs/compare-{Path(argv[0]).stem}")))
    console = Console()
    evaluated = _check(comparison)
    folder.path.mkdir(parents=True, exist_ok=True)
    with (folder.path / LOCK).open("w") as lock:
        _take(lock, folder.path)
        folder.settle(comparison)
        try:
            failed = _work(comparison, folder, console, evaluated, own.get("jobs"))
        except KeyboardInterrupt:
            console.print("interrupted; what was done is kept, and the same command goes on with it")
            return 130
    if failed:
        logs = "\n".join(f"  {folder.log(job)}" for job in failed)
        raise InputError(
            f"{len(failed)} of {len(comparison.jobs)} runs failed; what they printed:\n{logs}\n"
            "The others are kept; the same command tries the failed ones again"
        )
    _conclude(comparison, folder, console, evaluated)
    return 0


def _conclude(comparison: Comparison, folder: ComparisonFolder, console: Console, evaluated: bool) -> None:
    """Print the table, write it down, and write the report; say where all lies."""
    if evaluated:
        result = outcome(comparison, folder)
        result.save(folder.path)
        for algorithm in comparison.algorithms:
            console.print(comparison_table(result, algorithm))
    written = "comparison.json, comparison.csv, runs/" if evaluated else "runs/"
    console.print(f"{folder.path}: {written}", highlight=False, soft_wrap=True)
    logged = any("loss" in row for job in comparison.jobs for row in folder.run(job).read_metrics())
    if evaluated or logged:  # runs shorter than their logging interval have nothing to show
        report = folder.path / REPORT
        write_page(report_content([folder.path]), report)
        told = "curves, differences and tokens on one page"
        console.print(f"{report}: {told}", highlight=False, soft_wrap=True)


def _comparison(recipe: str, own: Mapping[str, str], flags: tuple[str, ...]) -> Comparison:
    from aent.runs.recipe import load_recipe

    if "methods" not in own:
        raise InputError("--methods is missing: give names, for instance --methods none,aent")
    entrants = load_entrants(own["methods"])
    named = own.get("algorithms")
    return Comparison(
        recipe=recipe,
        entrants=entrants,
        algorithms=tuple(named.split(",")) if named else (load_recipe(recipe).algorithm,),
        seeds=_seeds(own.get("seeds", "0-2")),
        baseline=own.get("baseline", "none" if "none" in entrants else next(iter(entrants))),
        flags=flags,
    )


def _seeds(text: str) -> tuple[int, ...]:
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise InputError(f"--seeds {text!r} is not a list such as 0-4 or 0,1,7")
        seeds += range(int(first), int(last if dash else first) + 1)
    return tuple(dict.fromkeys(seeds))


def _check(comparison: Comparison) -> bool:
    """Find mistakes in the first seed's runs before any of them starts; tell whether runs are evaluated."""
    from aent.training.prepare import prepared

    evaluated = set()
    for job in comparison.jobs[: len(comparison.entrants) * len(comparison.algorithms)]:
        run, _, _ = prepared(comparison.argv(job))
        evaluated.add(run.recipe.evaluation is not None)
    return evaluated == {True}


def _take(lock: Any, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"another aent compare is at work in {path}; wait for it or stop it") from None


def _work(
    comparison: Comparison, folder: ComparisonFolder, console: Console, evaluated: bool, jobs: str | None
) -> list[Job]:
    import torch

    waiting = [job for job in comparison.jobs if not folder.is_done(job, evaluated=evaluated)]
    if not waiting:
        return []
    _make_policy(comparison, console)
    gpus = torch.cuda.device_count()
    workers = Workers(comparison, folder, count=int(jobs or gpus or os.cpu_count() or 1), gpus=gpus)
    with Live(console=console, transient=True, refresh_per_second=2) as live:
        workers.run(waiting, lambda: live.update(_progress(comparison, folder, workers, evaluated)))
    return list(workers.failed)


def _make_policy(comparison: Comparison, console: Console) -> None:
    """Make the policy that all runs start from, once, before they look for it in the cache."""
    from aent.training.prepare import prepared

    run, _, _ = prepared(comparison.argv(comparison.jobs[0]))
    run.policy_path()


def _progress(comparison: Comparison, folder: ComparisonFolder, workers: Workers, evaluated: bool) -> Table:
    table = Table("run", "state", "step", "last logged", box=None)
    done = 0
    for job in comparison.jobs:
        if folder.is_done(job, evaluated=evaluated):
            done += 1
        elif job in workers.running or job in workers.failed:
            rows = [row for row in folder.run(job).read_metrics() if "loss" in row]
            state = "running" if job in workers.running else "failed"
            table.add_row(
                job.name, state, str(rows[-1]["step"]) if rows else "-", line(rows[-1]) if rows else ""
            )
    table.caption = f"{done} of {len(comparison.jobs)} runs done"
    return table
