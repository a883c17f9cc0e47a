"""Run folders and comparisons as the content of a report."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from aent.errors import InputError
from aent.evaluation import changes, load_results
from aent.evaluation.results import per_problem
from aent.experiments.compare import SETTINGS, Comparison, ComparisonFolder, Job
from aent.experiments.folder import RECIPE, RunFolder
from aent.experiments.outcome import OUTCOME, Outcome, outcome
from aent.experiments.shown import ShownRun, facts, line, missing, sides, versions_of
from aent.experiments.statistics import mean_over_seeds, paired_difference
from aent.report.content import Content, Result, Section


def report_content(paths: Sequence[Path]) -> Content:
    """Read one comparison, or one run or several, for `aent.report.page.write_page`.

    Raises:
        InputError: where a folder is neither, has nothing to show yet, or the runs do not belong together.
    """
    comparisons = [path for path in paths if (path / SETTINGS).is_file()]
    if comparisons and len(paths) > 1:
        raise InputError(
            f"{comparisons[0]} is a comparison and has a report of its own; give it alone, or run folders "
            f"only (those of a comparison are in {comparisons[0] / 'runs'})"
        )
    if comparisons:
        return _of_comparison(ComparisonFolder(comparisons[0]))
    return _of_runs([ShownRun.read(_opened(path)) for path in paths])


def _opened(path: Path) -> RunFolder:
    if not (path / RECIPE).is_file():
        raise InputError(
            f"{path} holds neither a run of aent train ({RECIPE}) nor an aent compare ({SETTINGS}). "
            "Give run folders, or the folder of one comparison; they are kept in runs/"
        )
    return RunFolder(path)


def _of_runs(runs: Sequence[ShownRun]) -> Content:
    _check_alike(runs)
    groups = _by_method(runs)
    algorithms = list(dict.fromkeys(run.recipe.algorithm for run in runs))
    sections = [_section(name, {k[1]: v for k, v in groups.items() if k[0] == name}) for name in algorithms]
    labels = ", ".join(dict.fromkeys(label for _, label in groups))
    made = versions_of(runs[0].folder.path)
    return Content(
        title=f"{', '.join(name.upper() for name in algorithms)} on {runs[0].task}: {labels}",
        facts=facts(runs, made),
        notes=[*_unfinished_runs(runs), *missing(runs, tokens=any(s.sides for s in sections))],
        sections=sections,
        configs={f"{run.folder.path.name}/{RECIPE}": _recipe_text(run) for run in runs},
        versions=made,
    )


def _check_alike(runs: Sequence[ShownRun]) -> None:
    """Runs on one page have something to show, the same task, and the same evaluation where they have one."""
    empty = [str(run.folder.path) for run in runs if run.empty]
    if empty:
        raise InputError(
            f"{', '.join(empty)}: nothing to show yet, neither logged steps nor an evaluation. "
            f"Go on with: aent train --resume {empty[0]}"
        )
    for what in ("task", "evaluation"):
        sections = [(run, getattr(run.recipe, what)) for run in runs]
        found = {json.dumps(v, sort_keys=True): run for run, v in sections if v is not None}
        if len(found) > 1:
            told = "; ".join(f"{run.folder.path}: {value}" for value, run in found.items())
            raise InputError(
                f"the runs have different settings of {what}, so their numbers do not compare ({told}). "
                "Give runs that share them, or make a report of each"
            )


def _by_method(runs: Sequence[ShownRun]) -> dict[tuple[str, str], list[ShownRun]]:
    """Group runs that differ in nothing but the seed, by algorithm and label.

    The label is the method's name, with the settings that tell it from others of this name.
    """
    groups: dict[str, list[ShownRun]] = {}
    for run in runs:
        settings = _flat(asdict(run.recipe))
        settings.pop("trainer.seed", None)
        groups.setdefault(json.dumps(settings, sort_keys=True), []).append(run)
    described = [json.loads(key) for key in groups]
    labelled = {}
    for settings, members in zip(described, groups.values(), strict=True):
        name = (settings["algorithm"], settings["method.name"])
        others = [d for d in described if (d["algorithm"], d["method.name"]) == name and d != settings]
        telling = sorted(k for k in settings if any(other.get(k) != settings[k] for other in others))
        parts = [f"{key.split('.')[-1]} {settings[key]}" for key in telling]
        labelled[name[0], ", ".join([name[1], *parts])] = members
    return labelled


def _flat(section: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in section.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _section(algorithm: str, groups: Mapping[str, Sequence[ShownRun]]) -> Section:
    evaluated = {k: [run for run in runs if run.before and run.after] for k, runs in groups.items()}
    return Section(
        algorithm=algorithm.upper(),
        lines=[line(label, runs) for label, runs in groups.items()],
        results=[result for label, runs in evaluated.items() if runs for result in _changes(label, runs)],
        reference="before training",
        basis=_basis(max(len(runs) for runs in groups.values())),
        sides=sides(groups),
    )


def _basis(seeds: int) -> str:
    return "over seeds and problems" if seeds > 1 else "over problems"


def _changes(label: str, runs: Sequence[ShownRun]) -> list[Result]:
    """After - before of every metric: for one run as `aent train` prints it, for several over seeds too."""
    pairs = [(load_results(run.folder.before), load_results(run.folder.after)) for run in runs]
    alone = changes(*pairs[0]) if len(pairs) == 1 else None
    columns = [[per_problem(each.records, each.config.ks) for each in pair] for pair in pairs]
    shared = [m for m in columns[0][0] if all(m in each.metrics for pair in pairs for each in pair)]
    results = []
    for metric in shared:
        before, after = ([pair[side][metric] for pair in columns] for side in (0, 1))
        results.append(
            Result(
                label=label,
                metric=metric,
                before=mean_over_seeds(before),
                value=mean_over_seeds(after),
                difference=alone[metric] if alone else paired_difference(before, after),
            )
        )
    return results


def _unfinished_runs(runs: Sequence[ShownRun]) -> list[str]:
    return [
        f"{run.folder.path.name} is not finished: step {run.rows[-1]['step'] if run.rows else 0} of "
        f"{run.recipe.trainer.get('max_steps', '?')}. What is there is shown; it goes on with "
        f"aent train --resume {run.folder.path}"
        for run in runs
        if not run.finished
    ]


def _of_comparison(folder: ComparisonFolder) -> Content:
    comparison = folder.comparison
    begun = [job for job in comparison.jobs if (folder.run(job).path / RECIPE).is_file()]
    read = {job: ShownRun.read(folder.run(job)) for job in begun}
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
    first_of_each: dict[tuple[str, str], ShownRun] = {}
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
            **{f"runs/{r.folder.path.name}/{RECIPE}": _recipe_text(r) for r in first_of_each.values()},
        },
        versions=made,
    )


def _outcome(
    folder: ComparisonFolder, comparison: Comparison, runs: Mapping[Job, ShownRun]
) -> tuple[Outcome | None, Sequence[int]]:
    """Return the differences over the seeds that all methods finished, and these seeds."""
    if (folder.path / OUTCOME).exists():
        return Outcome.load(folder), comparison.seeds
    whole = {job for job, run in runs.items() if run.finished and run.rows and run.before and run.after}
    lacking = {job.seed for job in comparison.jobs if job not in whole}
    seeds = tuple(seed for seed in comparison.seeds if seed not in lacking)
    return (outcome(replace(comparison, seeds=seeds), folder) if seeds else None), seeds


def _compared(
    algorithm: str, comparison: Comparison, runs: Mapping[Job, ShownRun], result: Outcome | None, seeds: int
) -> Section:
    groups: dict[str, list[ShownRun]] = {}
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
        basis=_basis(seeds),
        sides=sides(groups) if groups else [],
    )


def _unfinished_jobs(comparison: Comparison, runs: Mapping[Job, ShownRun], seeds: Sequence[int]) -> list[str]:
    done, total = sum(run.finished for run in runs.values()), len(comparison.jobs)
    if done == total:
        return []
    told = f"Not finished: {done} of {total} runs are done; the same aent compare command does the rest."
    if not seeds:
        return [f"{told} Differences are shown once all methods have finished a seed."]
    shown = ", ".join(str(seed) for seed in seeds)
    return [f"{told} Differences are over the seeds that all methods finished: {shown}."]


def _recipe_text(run: ShownRun) -> str:
    return (run.folder.path / RECIPE).read_text()
