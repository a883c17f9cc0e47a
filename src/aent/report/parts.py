"""The parts of a report that runs and comparisons have in common."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from aent.report.content import Line, Seed, Side
from aent.runs.folder import RECIPE
from aent.runs.read import StoredRun, finished_or_all, records_with_tokens


def recipe_text(run: StoredRun) -> str:
    """Return the recipe of a run, as it is on disk."""
    return (run.folder.path / RECIPE).read_text("utf-8")


def short_names(paths: Iterable[Path], taken: Iterable[str] = ()) -> list[str]:
    """Return the shortest ends of the paths that are all different, and none of the names that are taken."""
    parts, taken = [path.resolve().parts for path in paths], {*taken}
    for count in range(1, max(map(len, parts))):
        names = ["/".join(path[-count:]) for path in parts]
        if len({*names, *taken}) == len(names) + len(taken):
            return names
    return ["/".join(path) for path in parts]


def line(label: str, runs: Sequence[StoredRun], names: Mapping[Path, str]) -> Line:
    """Return runs that differ only in the seed as one line: the finished ones, or all if none is finished.

    Args:
        label: of the line.
        runs: those of one method.
        names: of the runs, by their folders.
    """
    return Line(
        label=label,
        seeds=[
            Seed(
                name=names[run.folder.path],
                rows=run.rows,
                before=run.before and run.before.metrics,
                after=run.after and run.after.metrics,
            )
            for run in finished_or_all(runs)
        ],
    )


def sides(runs: Mapping[str, Sequence[StoredRun]]) -> list[Side]:
    """Return the policies of the token view: before training, and after training under each label.

    The first run represents its label. If all labels started from the same answers, the policy before
    training appears once. Policies without recorded tokens are left out.
    """
    first_runs = {label: finished_or_all(members)[0] for label, members in runs.items()}
    started = {label: records_with_tokens(run.folder.before) for label, run in first_runs.items()}
    one, *others = started.values()
    before = (
        {"before training": one}
        if all(records == one for records in others)
        else {f"{label}, before": records for label, records in started.items()}
    )
    after = {f"{label}, after": records_with_tokens(run.folder.after) for label, run in first_runs.items()}
    return [Side(label, records) for label, records in {**before, **after}.items() if records]


def facts(runs: Sequence[StoredRun], versions: Mapping[str, str]) -> dict[str, str]:
    """Return what all runs of a page share, in words."""
    first = runs[0]
    seeds = sorted({run.seed for run in runs})
    shared = {
        "Task": ", ".join([first.task, *(f"{k} {v}" for k, v in first.recipe.task.items() if k != "name")]),
        "Seeds" if len(seeds) > 1 else "Seed": ", ".join(str(seed) for seed in seeds),
        "Steps": str(max((row["step"] for run in runs for row in run.rows), default=0)),
    }
    evaluation = next((e for run in runs for e in (run.after, run.before) if e), None)
    if evaluation is not None:
        config = evaluation.config
        shared["Evaluation"] = (
            f"{evaluation.about['problems']['used']} {config.split} problems, {config.samples} answers each, "
            f"temperature {config.temperature:g}, top-p {config.top_p:g}"
        )
    machine = ", ".join(versions[key] for key in ("machine", "gpu") if versions.get(key, "none") != "none")
    return {**shared, "Machine": machine} if machine else shared


def missing(runs: Sequence[StoredRun], *, tokens: bool) -> list[str]:
    """Say what the page lacks and how to get it.

    Args:
        runs: all runs of the page.
        tokens: whether the page has a token view.
    """
    if all(run.recipe.evaluation is None for run in runs):
        return [
            "The runs have no evaluation (evaluation: null in the recipe), so pass@k, the table and the "
            "token view are left out. Train without --evaluation null to have them."
        ]
    if not tokens and any(run.before for run in runs):
        return [
            "No token view: these evaluations lack the texts and entropies of tokens. They come from an "
            "earlier version of aent, or from a backend that reports no entropy; a new run records them."
        ]
    return []
