"""A comparison as the content of a report."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from aent.errors import InputError
from aent.report.content import Content, Result, Section
from aent.report.parts import basis, facts, line, missing, recipe_text, sides
from aent.runs.comparison import SETTINGS, Comparison, ComparisonFolder, Job
from aent.runs.folder import RECIPE
from aent.runs.outcome import OUTCOME, Outcome, outcome
from aent.runs.read import StoredRun, versions_of


def content_of_comparison(folder: ComparisonFolder) -> Content:
    comparison = folder.comparison
    begun = [job for job in comparison.jobs if (folder.run(job).path / RECIPE).is_file()]
    read = {job: StoredRun.read(folder.run(job)) for job in begun}
    runs = {job: run for job, run in read.items() if not run.empty}
    if not runs:
        raise InputError(
            f"{folder.path}: no run of this comparison has anything to show yet. Its own aent compare "
            "command goes on with it"
        )
    result, seeds = _outcome(folder, comparison, runs)
    sections = [_compared(name, comparison, runs, result, len(seeds)) for name in comparison.algorithms]
    sections = [section for section in sections if section.lines]
    every, made = list(runs.values()), versions_of(folder.path)
    first_of_each: dict[tuple[str, str], StoredRun] = {}
    for job, run in runs.items():
        first_of_each.setdefault((job.algorithm, job.label), run)
    return Content(
        title=f"{', '.join(name.upper() for name in comparison.algorithms)} on {every[0].task}: "
        f"{len(comparison.entrants)} methods compared",
        facts=facts(every, made),
        notes=[
            *_unfinished_jobs(comparison, runs, seeds),
            *missing(every, tokens=any(section.sides for section in sections)),
        ],
        sections=sections,
        configs={
            SETTINGS: (folder.path / SETTINGS).read_text(),
            **{f"runs/{r.folder.path.name}/{RECIPE}": recipe_text(r) for r in first_of_each.values()},
        },
        versions=made,
    )


def _outcome(
    folder: ComparisonFolder, comparison: Comparison, runs: Mapping[Job, StoredRun]
) -> tuple[Outcome | None, Sequence[int]]:
    """Return the differences over the seeds that all methods finished, and these seeds."""
    if (folder.path / OUTCOME).exists():
        return Outcome.load(folder), comparison.seeds
    whole = {job for job, run in runs.items() if run.finished and run.rows and run.before and run.after}
    lacking = {job.seed for job in comparison.jobs if job not in whole}
    seeds = tuple(seed for seed in comparison.seeds if seed not in lacking)
    return (outcome(replace(comparison, seeds=seeds), folder) if seeds else None), seeds


def _compared(
    algorithm: str, comparison: Comparison, runs: Mapping[Job, StoredRun], result: Outcome | None, seeds: int
) -> Section:
    groups: dict[str, list[StoredRun]] = {}
    for label in comparison.entrants:
        found = [run for job, run in runs.items() if (job.label, job.algorithm) == (label, algorithm)]
        groups |= {label: found} if found else {}
    entries = [] if result is None else [e for e in result.entries if e.algorithm == algorithm]
    return Section(
        algorithm=algorithm.upper(),
        lines=[line(label, found) for label, found in groups.items()],
        results=[
            Result(label=e.method, metric=e.metric, before=e.before, value=e.value, difference=e.difference)
            for e in entries
        ],
        reference=comparison.baseline,
        basis=basis(seeds),
        sides=sides(groups) if groups else [],
    )


def _unfinished_jobs(comparison: Comparison, runs: Mapping[Job, StoredRun], seeds: Sequence[int]) -> list[str]:
    done, total = sum(run.finished for run in runs.values()), len(comparison.jobs)
    if done == total:
        return []
    told = f"Not finished: {done} of {total} runs are done; the same aent compare command does the rest."
    if not seeds:
        return [f"{told} Differences are shown once all methods have finished a seed."]
    shown = ", ".join(str(seed) for seed in seeds)
    return [f"{told} Differences are over the seeds that all methods finished: {shown}."]
