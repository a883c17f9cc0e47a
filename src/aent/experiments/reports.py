"""Run folders and comparisons as the content of a report."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from aent.errors import InputError
from aent.evaluation import Estimate, Evaluation, changes, load_results
from aent.evaluation.results import RESULTS, Record, per_problem
from aent.experiments.compare import SETTINGS, Comparison, ComparisonFolder, Job
from aent.experiments.folder import RECIPE, RunFolder
from aent.experiments.outcome import OUTCOME, Outcome, outcome
from aent.experiments.recipe import Recipe
from aent.experiments.statistics import mean_over_seeds, paired_difference
from aent.report.content import Content, Line, Result, Section, Seed, Side


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What is in a run folder."""

    folder: RunFolder
    recipe: Recipe
    rows: Sequence[Mapping[str, Any]]
    before: Evaluation | None
    after: Evaluation | None

    @property
    def finished(self) -> bool:
        return self.folder.finished and (self.recipe.evaluation is None or self.after is not None)

    @property
    def seed(self) -> Any:
        return self.recipe.trainer.get("seed", 42)  # transformers' own default

    def spelt(self, evaluation: Evaluation | None) -> list[Record]:
        """The answers to the problems whose tokens were kept."""
        records = [] if evaluation is None else evaluation.records
        kept = {r.problem for r in records if r.token_texts is not None}
        return [r for r in records if r.problem in kept]


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
    return _of_runs([_open(path) for path in paths])


def _open(path: Path) -> RunFolder:
    if not (path / RECIPE).is_file():
        raise InputError(
            f"{path} holds neither a run of aent train ({RECIPE}) nor an aent compare ({SETTINGS}). "
            "Give run folders, or the folder of one comparison; they are kept in runs/"
        )
    return RunFolder(path)


def _read(folder: RunFolder) -> _Run:
    return _Run(
        folder=folder,
        recipe=folder.recipe,
        rows=[row for row in folder.read_metrics() if "loss" in row],
        before=_evaluation(folder.before),
        after=_evaluation(folder.after),
    )


def _evaluation(folder: Path) -> Evaluation | None:
    return load_results(folder) if (folder / RESULTS).exists() else None


def _of_runs(folders: Sequence[RunFolder]) -> Content:
    runs = [_read(folder) for folder in folders]
    empty = [str(run.folder.path) for run in runs if not run.rows and run.before is None]
    if empty:
        raise InputError(
            f"{', '.join(empty)}: nothing to show yet, neither logged steps nor an evaluation. "
            f"Go on with: aent train --resume {empty[0]}"
        )
    _check_alike(runs)
    groups = _by_method(runs)
    algorithms = list(dict.fromkeys(run.recipe.algorithm for run in runs))
    sections = [_section_of_runs(a, {k: v for k, v in groups.items() if k[0] == a}) for a in algorithms]
    names = list(dict.fromkeys(label for _, label in groups))
    return Content(
        title=f"{', '.join(a.upper() for a in algorithms)} on {_task(runs[0])}: {', '.join(names)}",
        facts=_facts(runs, names),
        notes=_notes(runs),
        sections=sections,
        configs={f"{run.folder.path.name}/{RECIPE}": _text(run.folder) for run in runs},
        versions=_versions(runs[0].folder.path),
    )


def _check_alike(runs: Sequence[_Run]) -> None:
    """Runs on one page have the same task and, where they are evaluated, the same evaluation."""
    for what in ("task", "evaluation"):
        found = {json.dumps(v, sort_keys=True): r for r in runs if (v := getattr(r.recipe, what)) is not None}
        if len(found) > 1:
            told = "; ".join(f"{run.folder.path}: {value}" for value, run in found.items())
            raise InputError(
                f"the runs have different settings of {what}, so their numbers do not compare ({told}). "
                "Give runs that share them, or make a report of each"
            )


def _by_method(runs: Sequence[_Run]) -> dict[tuple[str, str], list[_Run]]:
    """Group runs that differ in nothing but the seed, by algorithm and label."""
    groups: dict[str, list[_Run]] = {}
    for run in runs:
        settings = asdict(run.recipe)
        settings["trainer"].pop("seed", None)
        groups.setdefault(json.dumps(settings, sort_keys=True), []).append(run)
    flat = [_flat(json.loads(key)) for key in groups]
    labels = {}
    for settings, members in zip(flat, groups.values(), strict=True):
        namesakes = [
            f
            for f in flat
            if all(f[k] == settings[k] for k in ("algorithm", "method.name")) and f != settings
        ]
        differing = {k for f in namesakes for k in {*f, *settings} if f.get(k) != settings.get(k)}
        parts = [f"{k.split('.')[-1]} {settings[k]}" for k in sorted(differing) if k in settings]
        label = ", ".join([settings["method.name"], *parts])
        labels[settings["algorithm"], label] = members
    return labels


def _flat(section: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in section.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _section_of_runs(algorithm: str, groups: Mapping[tuple[str, str], list[_Run]]) -> Section:
    by_label = {label: runs for (_, label), runs in groups.items()}
    evaluated = {k: [r for r in runs if r.before and r.after] for k, runs in by_label.items()}
    most = max(len(runs) for runs in by_label.values())
    return Section(
        algorithm=algorithm.upper(),
        lines=[_line(label, runs) for label, runs in by_label.items()],
        results=[result for k, runs in evaluated.items() if runs for result in _changes(k, runs)],
        reference="before training",
        basis="over seeds and problems" if most > 1 else "over problems",
        sides=_sides({label: runs[0] for label, runs in by_label.items()}),
    )


def _line(label: str, runs: Sequence[_Run]) -> Line:
    """A line is made of the finished runs, where there are any."""
    shown = [run for run in runs if run.finished] or runs
    return Line(
        label=label,
        seeds=[
            Seed(rows=r.rows, before=r.before and r.before.metrics, after=r.after and r.after.metrics)
            for r in shown
        ],
    )


def _metrics(evaluation: Evaluation | None) -> Mapping[str, Estimate] | None:
    return None if evaluation is None else evaluation.metrics


def _changes(label: str, runs: Sequence[_Run]) -> list[Result]:
    """After - before of every metric: for one run as `aent train` prints it, for several over seeds too."""
    pairs = [(run.before, run.after) for run in runs if run.before and run.after]
    columns = [tuple(per_problem(e.records, e.config.ks) for e in pair) for pair in pairs]
    alone = changes(*pairs[0]) if len(pairs) == 1 else None
    results = []
    for metric in columns[0][0]:
        if any(metric not in e.metrics for pair in pairs for e in pair):
            continue
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


def _sides(runs: Mapping[str, _Run]) -> list[Side]:
    """The policy before training, once where all began alike, and that of every method after it."""
    first = [run.spelt(run.before) for run in runs.values()]
    alike = all(records == first[0] for records in first)
    before = [("before training", first[0])]
    if not alike:
        before = [(f"{label}, before", records) for label, records in zip(runs, first, strict=True)]
    after = [(f"{label}, after", run.spelt(run.after)) for label, run in runs.items()]
    return [Side(label, records) for label, records in (*before, *after) if records]


def _of_comparison(folder: ComparisonFolder) -> Content:
    comparison = folder.comparison
    begun = [job for job in comparison.jobs if (folder.run(job).path / RECIPE).is_file()]
    runs = {job: run for job in begun if (run := _read(folder.run(job))).rows or run.before}
    if not runs:
        raise InputError(
            f"{folder.path}: no run of this comparison has anything to show yet. Its own aent compare "
            "command goes on with it"
        )
    done = {job for job, run in runs.items() if run.finished}
    result, seeds = _outcome(folder, comparison, runs, done)
    sections = [
        _section_of_comparison(a, comparison, runs, result, len(seeds)) for a in comparison.algorithms
    ]
    some = next(iter(runs.values()))
    algorithms = ", ".join(a.upper() for a in comparison.algorithms)
    return Content(
        title=f"{algorithms} on {_task(some)}: {len(comparison.entrants)} methods compared",
        facts=_facts(list(runs.values()), list(comparison.entrants)),
        notes=[
            *_unfinished(folder, len(comparison.jobs), len(done), seeds, comparison),
            *_missing(list(runs.values())),
        ],
        sections=[section for section in sections if section.lines],
        configs={
            SETTINGS: (folder.path / SETTINGS).read_text(),
            **{f"runs/{job.name}/{RECIPE}": _text(runs[job].folder) for job in _first_of_each(runs)},
        },
        versions=_versions(folder.path),
    )


def _first_of_each(runs: Mapping[Job, _Run]) -> list[Job]:
    return list({(job.label, job.algorithm): job for job in reversed(list(runs))}.values())[::-1]


def _outcome(
    folder: ComparisonFolder, comparison: Comparison, runs: Mapping[Job, _Run], done: set[Job]
) -> tuple[Outcome | None, Sequence[int]]:
    """Return the differences over the seeds that all methods finished, and these seeds."""
    if (folder.path / OUTCOME).exists():
        return Outcome.load(folder), comparison.seeds
    if not all(run.before and run.after and run.rows for job, run in runs.items() if job in done):
        return None, ()
    open_seeds = {job.seed for job in comparison.jobs if job not in done}
    seeds = tuple(seed for seed in comparison.seeds if seed not in open_seeds)
    return (outcome(replace(comparison, seeds=seeds), folder) if seeds else None), seeds


def _section_of_comparison(
    algorithm: str, comparison: Comparison, runs: Mapping[Job, _Run], result: Outcome | None, seeds: int
) -> Section:
    by_label = {
        label: [run for job, run in runs.items() if (job.label, job.algorithm) == (label, algorithm)]
        for label in comparison.entrants
    }
    by_label = {label: found for label, found in by_label.items() if found}
    entries = [] if result is None else [e for e in result.entries if e.algorithm == algorithm]
    return Section(
        algorithm=algorithm.upper(),
        lines=[_line(label, found) for label, found in by_label.items()],
        results=[
            Result(label=e.method, metric=e.metric, before=e.before, value=e.value, difference=e.difference)
            for e in entries
        ],
        reference=comparison.baseline,
        basis="over seeds and problems" if seeds > 1 else "over problems",
        sides=_sides({label: found[0] for label, found in by_label.items()}) if by_label else [],
    )


def _unfinished(
    folder: ComparisonFolder, total: int, done: int, seeds: Sequence[int], comparison: Comparison
) -> list[str]:
    if done == total:
        return []
    told = (
        f"Not finished: {done} of {total} runs are done. The same aent compare command goes on with the rest."
    )
    if not seeds:
        return [f"{told} Differences are shown once all methods have finished a seed."]
    shown = ", ".join(str(seed) for seed in seeds)
    return [f"{told} Differences are over the seeds that all methods finished: {shown}."]


def _notes(runs: Sequence[_Run]) -> list[str]:
    return [
        f"{run.folder.path.name} is not finished: step {run.rows[-1]['step'] if run.rows else 0} of "
        f"{run.recipe.trainer.get('max_steps', '?')}. What is there is shown; go on with "
        f"aent train --resume {run.folder.path}"
        for run in runs
        if not run.finished
    ] + _missing(runs)


def _missing(runs: Sequence[_Run]) -> list[str]:
    """Say what the page lacks, and how to get it."""
    if all(run.recipe.evaluation is None for run in runs):
        return [
            "The runs have no evaluation (evaluation: null in the recipe), so pass@k, the table and the "
            "token view are left out. Train without --evaluation null to have them."
        ]
    found = [e for run in runs for e in (run.before, run.after) if e is not None]
    if found and not any(r.token_texts for e in found for r in e.records):
        return [
            "No token view: these evaluations hold no texts and entropies of tokens. They were made by an "
            "earlier version of aent, or by a backend that reports no entropy; a new run keeps them."
        ]
    return []


def _facts(runs: Sequence[_Run], names: Sequence[str]) -> dict[str, str]:
    recipe = runs[0].recipe
    seeds = sorted({run.seed for run in runs})
    measured = next((e for run in runs for e in (run.after, run.before) if e), None)
    steps = [row["step"] for run in runs for row in run.rows]
    facts = {
        "Task": ", ".join([_task(runs[0]), *(f"{k} {v}" for k, v in recipe.task.items() if k != "name")]),
        "Methods" if len(names) > 1 else "Method": ", ".join(names),
        "Seeds" if len(seeds) > 1 else "Seed": ", ".join(str(seed) for seed in seeds),
        "Steps": str(max(steps, default=0)),
    }
    if measured is not None:
        used, config = measured.about["problems"]["used"], measured.config
        facts["Evaluation"] = (
            f"{used} {config.split} problems, {config.samples} answers each, "
            f"temperature {config.temperature:g}, top-p {config.top_p:g}"
        )
    machine = _versions(runs[0].folder.path)
    return facts | {
        "Machine": ", ".join(v for k, v in machine.items() if k in ("machine", "gpu") and v != "none")
    }


def _task(run: _Run) -> str:
    return str(run.recipe.task["name"])


def _text(folder: RunFolder) -> str:
    return (folder.path / RECIPE).read_text()


def _versions(path: Path) -> dict[str, str]:
    file = path / "versions.json"
    return json.loads(file.read_text()) if file.exists() else {}
