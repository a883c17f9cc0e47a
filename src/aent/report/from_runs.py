"""Run folders as the content of a report."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aent.errors import InputError
from aent.evaluation import changes, load_results
from aent.evaluation.results import per_problem
from aent.report.content import Content, Result, Section
from aent.report.parts import facts, line, missing, recipe_text, short_names, sides
from aent.runs.folder import RECIPE
from aent.runs.read import StoredRun, finished_or_all, versions_of
from aent.statistics import basis, mean_over_seeds, paired_difference


def content_of_runs(runs: Sequence[StoredRun]) -> Content:
    """Return the content of a page about one run or several; runs that differ only in the seed are one line.

    Raises:
        InputError: if a run has nothing to show yet, or the runs differ in task or evaluation.
    """
    _check_comparable(runs)
    groups = _by_method(runs)
    folders = [run.folder.path for run in runs]
    names = dict(zip(folders, short_names(folders), strict=True))
    algorithms = list(dict.fromkeys(run.recipe.algorithm for run in runs))
    sections = [
        _section(name, {k[1]: v for k, v in groups.items() if k[0] == name}, names) for name in algorithms
    ]
    labels = ", ".join(dict.fromkeys(label for _, label in groups))
    versions = versions_of(folders)
    return Content(
        title=f"{', '.join(name.upper() for name in algorithms)} on {runs[0].task}: {labels}",
        facts=facts(runs, versions),
        notes=[
            *_unfinished(runs, names),
            *_repeated(groups, names),
            *missing(runs, tokens=any(s.sides for s in sections)),
        ],
        sections=sections,
        configs={f"{names[run.folder.path]}/{RECIPE}": recipe_text(run) for run in runs},
        versions=versions,
    )


def _check_comparable(runs: Sequence[StoredRun]) -> None:
    """Check that all runs have something to show, the same task, and the same evaluation if they have one."""
    empty = [run.folder for run in runs if run.empty]
    if empty:
        listed = ", ".join(str(folder.path) for folder in empty)
        raise InputError(
            f"{listed}: nothing to show yet, neither logged steps nor an evaluation. "
            f"Resume with: {empty[0].resuming}"
        )
    for what in ("task", "evaluation"):
        sections = [(run, getattr(run.recipe, what)) for run in runs]
        settings = {json.dumps(v, sort_keys=True): run for run, v in sections if v is not None}
        if len(settings) > 1:
            listed = "; ".join(f"{run.folder.path}: {value}" for value, run in settings.items())
            raise InputError(
                f"the runs have different settings of {what}, so their numbers do not compare ({listed}). "
                "Give runs that share them, or make a report of each"
            )


def _by_method(runs: Sequence[StoredRun]) -> dict[tuple[str, str], list[StoredRun]]:
    """Group runs that differ only in the seed; return the groups by algorithm and label.

    The label is the name of the method, with the settings that distinguish it from others of this name.
    """
    groups: dict[str, list[StoredRun]] = {}
    for run in runs:
        settings = _flat(asdict(run.recipe))
        settings.pop("trainer.seed", None)
        groups.setdefault(json.dumps(settings, sort_keys=True), []).append(run)
    every = [json.loads(key) for key in groups]
    by_label = {}
    for settings, members in zip(every, groups.values(), strict=True):
        name = (settings["algorithm"], settings["method.name"])
        others = [s for s in every if (s["algorithm"], s["method.name"]) == name and s != settings]
        differing = sorted({k for other in others for k in _differing(settings, other)})
        parts = [f"{_short(key, differing)} {settings[key]}" for key in differing if key in settings]
        by_label[name[0], ", ".join([name[1], *parts])] = members
    return by_label


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> set[str]:
    """Return the settings that only one side has, even as None, or that have another value there."""
    return {k for k in {*one, *other} if k not in one or k not in other or one[k] != other[k]}


def _short(key: str, keys: Sequence[str]) -> str:
    """Return the last part of a dotted name, or all of it if another of the names ends in the same part."""
    last = key.rpartition(".")[2]
    return last if sum(each.rpartition(".")[2] == last for each in keys) == 1 else key


def _flat(section: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return settings by dotted names; 10.0 becomes 10, as earlier versions kept some numbers as floats."""
    flat: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            whole = isinstance(value, float) and value.is_integer()
            flat[f"{prefix}{key}"] = int(value) if whole else value
    return flat


def _section(algorithm: str, groups: Mapping[str, Sequence[StoredRun]], names: Mapping[Path, str]) -> Section:
    evaluated = {k: [run for run in runs if run.before and run.after] for k, runs in groups.items()}
    return Section(
        algorithm=algorithm.upper(),
        lines=[line(label, runs, names) for label, runs in groups.items()],
        results=[result for label, runs in evaluated.items() if runs for result in _changes(label, runs)],
        reference="before training",
        basis=basis(max(len(runs) for runs in evaluated.values())),
        sides=sides(groups),
    )


def _changes(label: str, runs: Sequence[StoredRun]) -> list[Result]:
    """Return after - before of every metric: for one run as `aent train` prints it, else over seeds too."""
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


def _repeated(groups: Mapping[tuple[str, str], Sequence[StoredRun]], names: Mapping[Path, str]) -> list[str]:
    notes = []
    for runs in groups.values():
        by_seed: dict[int, list[str]] = {}
        for run in finished_or_all(runs):
            by_seed.setdefault(run.seed, []).append(names[run.folder.path])
        notes += [
            f"{', '.join(same)} have the same settings and seed {seed} but count as {len(same)} seeds here, "
            "so intervals may be too narrow. Give one of them."
            for seed, same in by_seed.items()
            if len(same) > 1
        ]
    return notes


def _unfinished(runs: Sequence[StoredRun], names: Mapping[Path, str]) -> list[str]:
    return [
        f"{names[run.folder.path]} is not finished: step {run.rows[-1]['step'] if run.rows else 0} of "
        f"{run.recipe.trainer.get('max_steps', '?')}. The page shows what exists so far; resume it with "
        f"{run.folder.resuming}"
        for run in runs
        if not run.finished
    ]
