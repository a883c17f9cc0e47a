"""A comparison as the content of a report."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from aent.errors import InputError
from aent.report.content import Content, Result, Section
from aent.report.parts import facts, line, missing, recipe_text, sides
from aent.runs.comparison import SETTINGS, Comparison, ComparisonFolder, Job
from aent.runs.folder import RECIPE
from aent.runs.outcome import OUTCOME, Outcome, outcome
from aent.runs.read import StoredRun, versions_of
from aent.statistics import basis


def content_of_comparison(folder: ComparisonFolder) -> Content:
    """Read a comparison, finished or not.

    Raises:
        InputError: if no run of it has anything to show yet, or a run cannot be read.
    """
    comparison = folder.comparison
    runs = _runs(folder, comparison)
    result, seeds = _outcome(folder, comparison, runs)
    sections = [_section(name, comparison, runs, result, len(seeds)) for name in comparison.algorithms]
    sections = [section for section in sections if section.lines]
    every = list(runs.values())
    versions = versions_of([run.folder.path for run in every])
    return Content(
        title=f"{', '.join(name.upper() for name in comparison.algorithms)} on {every[0].task}: "
        f"{len(comparison.entrants)} methods compared",
        facts=facts(every, versions),
        notes=[
            *_unfinished(comparison, runs, seeds),
            *missing(every, tokens=any(section.sides for section in sections)),
        ],
        sections=sections,
        configs={SETTINGS: (folder.path / SETTINGS).read_text("utf-8"), **_recipes(runs)},
        versions=versions,
    )


def _runs(folder: ComparisonFolder, comparison: Comparison) -> dict[Job, StoredRun]:
    """Return the runs that have something to show."""
    started = [job for job in comparison.jobs if (folder.run(job).path / RECIPE).is_file()]
    stored = {job: StoredRun.read(folder.run(job)) for job in started}
    runs = {job: run for job, run in stored.items() if not run.empty}
    if not runs:
        raise InputError(
            f"{folder.path}: no run of this comparison has anything to show yet. The same aent compare "
            "command resumes it"
        )
    return runs


def _recipes(runs: Mapping[Job, StoredRun]) -> dict[str, str]:
    """Return the recipe of the first run of each method under each algorithm, by the name of its file."""
    first_runs: dict[tuple[str, str], StoredRun] = {}
    for job, run in runs.items():
        first_runs.setdefault((job.algorithm, job.label), run)
    return {f"runs/{run.folder.path.name}/{RECIPE}": recipe_text(run) for run in first_runs.values()}


def _outcome(
    folder: ComparisonFolder, comparison: Comparison, runs: Mapping[Job, StoredRun]
) -> tuple[Outcome | None, Sequence[int]]:
    """Return the results over the seeds that all methods finished, and these seeds."""
    if (folder.path / OUTCOME).exists():
        return Outcome.load(folder), comparison.seeds
    complete = {job for job, run in runs.items() if run.finished and run.rows and run.before and run.after}
    unfinished = {job.seed for job in comparison.jobs if job not in complete}
    seeds = tuple(seed for seed in comparison.seeds if seed not in unfinished)
    return (outcome(replace(comparison, seeds=seeds), folder) if seeds else None), seeds


def _section(
    algorithm: str, comparison: Comparison, runs: Mapping[Job, StoredRun], result: Outcome | None, seeds: int
) -> Section:
    groups: dict[str, list[StoredRun]] = {}
    for label in comparison.entrants:
        members = [run for job, run in runs.items() if (job.label, job.algorithm) == (label, algorithm)]
        groups |= {label: members} if members else {}
    names = {run.folder.path: run.folder.path.name for run in runs.values()}
    entries = [] if result is None else [e for e in result.entries if e.algorithm == algorithm]
    return Section(
        algorithm=algorithm.upper(),
        lines=[line(label, members, names) for label, members in groups.items()],
        results=[
            Result(label=e.method, metric=e.metric, before=e.before, value=e.value, difference=e.difference)
            for e in entries
        ],
        reference=comparison.baseline,
        basis=basis(seeds),
        sides=sides(groups) if groups else [],
    )


def _unfinished(comparison: Comparison, runs: Mapping[Job, StoredRun], seeds: Sequence[int]) -> list[str]:
    done, total = sum(run.finished for run in runs.values()), len(comparison.jobs)
    if done == total:
        return []
    note = f"Not finished: {done} of {total} runs are done; the same aent compare command does the rest."
    if not seeds:
        return [f"{note} Differences are shown once all methods have finished a seed."]
    shared = ", ".join(str(seed) for seed in seeds)
    return [f"{note} Differences are over the seeds that all methods finished: {shared}."]
