"""A comparison: its missing runs, then the table and the report."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from aent.errors import InputError
from aent.lock import locked
from aent.progress import say
from aent.report.figure import comparison_figure
from aent.report.gather import report_content
from aent.report.page import write_page
from aent.runs.comparison import Comparison, ComparisonFolder, Job
from aent.runs.folder import REPORT
from aent.runs.logged import step_summary
from aent.runs.outcome import comparison_table, outcome
from aent.training.interrupts import terminated_as_interrupted
from aent.training.prepare import prepare, read_request
from aent.training.workers import Workers, usable_cores, visible_gpus


def compare(comparison: Comparison, path: Path, console: Console, count: int | None = None) -> int:
    """Do the runs of a comparison that are missing, then print and write its outcome; return the exit code.

    Args:
        comparison: what is compared.
        path: folder of the comparison.
        console: where progress and tables are printed.
        count: runs at a time; one per GPU, else one per core, if not given.

    Returns:
        0, or 130 after Ctrl-C, SIGTERM or SIGHUP.

    Raises:
        InputError: for a mistake in recipe, methods or flags, for a folder that is in use or holds something
            else, or if runs failed.
    """
    evaluated = _check(comparison)
    folder = ComparisonFolder(path)
    path.mkdir(parents=True, exist_ok=True)
    busy = f"another aent compare is at work in {path}; wait for it or stop it"
    with locked(path, busy), terminated_as_interrupted():
        folder.claim(comparison)
        try:
            failed = _work(comparison, folder, console, evaluated, count)
        except KeyboardInterrupt:
            console.print("interrupted; what was done is kept, and the same command continues from there")
            return 130
    if failed:
        logs = "\n".join(f"  {folder.log(job)}" for job in failed)
        raise InputError(
            f"{len(failed)} of {len(comparison.jobs)} runs failed; what they printed:\n{logs}\n"
            "The others are kept; the same command tries the failed ones again"
        )
    _conclude(comparison, folder, console, evaluated)
    return 0


def _check(comparison: Comparison) -> bool:
    """Check the runs of the first seed before any of them starts; return whether runs are evaluated."""
    jobs = comparison.jobs[: len(comparison.entrants) * len(comparison.algorithms)]
    recipes = {job: prepare(read_request(comparison.argv(job))).recipe for job in jobs}
    for what in ("task", "evaluation"):
        first = getattr(recipes[jobs[0]], what)
        for job, recipe in recipes.items():
            if getattr(recipe, what) != first:
                raise InputError(
                    f"{jobs[0].name} and {job.name} differ in {what} ({first} and {getattr(recipe, what)}), "
                    "so their results cannot be paired; give such flags to aent compare, for all runs"
                )
    return recipes[jobs[0]].evaluation is not None


def _work(
    comparison: Comparison, folder: ComparisonFolder, console: Console, evaluated: bool, count: int | None
) -> Sequence[Job]:
    """Do the missing runs and return those that failed."""
    waiting = [job for job in comparison.jobs if not folder.is_done(job, evaluated=evaluated)]
    if not waiting:
        return []
    # Make the policy that all runs start from, before they look for it in the cache
    prepare(read_request(comparison.argv(comparison.jobs[0]))).policy_path()
    gpus = visible_gpus()
    workers = Workers(comparison, folder, count=count or len(gpus) or usable_cores(), gpus=gpus)
    unfinished = dict.fromkeys(waiting)

    def tick() -> None:
        for job in list(unfinished):
            ended = _ended(job, folder, workers, evaluated)
            if ended:
                del unfinished[job]
                count = f"{len(comparison.jobs) - len(unfinished)} of {len(comparison.jobs)}"
                say(console, f"{count}: {job.name} {ended}")
        live.update(_progress(comparison, folder, workers, evaluated))

    with Live(console=console, transient=True, refresh_per_second=2) as live:
        workers.run(waiting, tick)
    return list(workers.failed)


def _ended(job: Job, folder: ComparisonFolder, workers: Workers, evaluated: bool) -> str:
    """Return how a run ended; empty while it waits or runs."""
    if job in workers.failed:
        return f"failed, see {folder.log(job)}"
    if job in workers.running or not folder.is_done(job, evaluated=evaluated):
        return ""
    rows = folder.run(job).logged_steps()
    return f"done  {step_summary(rows[-1])}" if rows else "done"


def _progress(comparison: Comparison, folder: ComparisonFolder, workers: Workers, evaluated: bool) -> Table:
    table = Table("run", "state", "step", "last logged", box=None)
    done = 0
    for job in comparison.jobs:
        if folder.is_done(job, evaluated=evaluated):
            done += 1
        elif job in workers.running or job in workers.failed:
            rows = folder.run(job).logged_steps()
            state = "running" if job in workers.running else "failed"
            last = (str(rows[-1]["step"]), step_summary(rows[-1])) if rows else ("-", "")
            table.add_row(escape(job.name), state, *last)
    table.caption = f"{done} of {len(comparison.jobs)} runs done"
    return table


def _conclude(comparison: Comparison, folder: ComparisonFolder, console: Console, evaluated: bool) -> None:
    """Print the table, write it and the report, and say where everything is."""
    if evaluated:
        result = outcome(comparison, folder)
        result.save(folder.path)
        for algorithm in comparison.algorithms:
            width = console.width if console.is_terminal else None
            console.print(comparison_table(result, algorithm, width), crop=False)
    files = "comparison.json, comparison.csv, runs/" if evaluated else "runs/"
    say(console, f"{folder.path}: {files}")
    logged = any(folder.run(job).logged_steps() for job in comparison.jobs)
    if evaluated or logged:  # runs shorter than their logging interval have nothing to show
        report, content = folder.path / REPORT, report_content([folder.path])
        write_page(content, report)
        for section in content.sections:
            picture = folder.path / f"{section.algorithm.lower()}.png"
            title = f"{section.algorithm} on {content.facts['Task']}"
            comparison_figure(section.lines, picture, title=title)
            say(console, f"{picture}: entropy, pass@1 and pass@k of all methods")
        contents = "curves, differences and tokens on one page"
        say(console, f"{report}: {contents}")
