"""What every report says about its runs."""

from collections.abc import Mapping, Sequence

from aent.report.content import Line, Seed, Side
from aent.runs.folder import RECIPE
from aent.runs.read import StoredRun, finished_or_all, records_with_tokens


def basis(seeds: int) -> str:
    return "over seeds and problems" if seeds > 1 else "over problems"


def recipe_text(run: StoredRun) -> str:
    return (run.folder.path / RECIPE).read_text()


def line(label: str, runs: Sequence[StoredRun]) -> Line:
    """Return the finished runs, where there are any, as one line with its seeds."""
    return Line(
        label=label,
        seeds=[
            Seed(
                rows=run.rows,
                before=run.before and run.before.metrics,
                after=run.after and run.after.metrics,
            )
            for run in finished_or_all(runs)
        ],
    )


def sides(runs: Mapping[str, Sequence[StoredRun]]) -> list[Side]:
    """Return the policy before training, once where all lines began alike, and after it under each label.

    One run speaks for each label. Policies without kept tokens are left out.
    """
    chosen = {label: finished_or_all(found)[0] for label, found in runs.items()}
    first = {label: records_with_tokens(run.folder.before) for label, run in chosen.items()}
    before = {f"{label}, before": records for label, records in first.items()}
    some = next(iter(first.values()))
    if all(records == some for records in first.values()):
        before = {"before training": some}
    after = {f"{label}, after": records_with_tokens(run.folder.after) for label, run in chosen.items()}
    return [Side(label, records) for label, records in {**before, **after}.items() if records]


def facts(runs: Sequence[StoredRun], made: Mapping[str, str]) -> dict[str, str]:
    """Return what all runs of a page share, in words; `made` holds the versions."""
    first = runs[0]
    seeds = sorted({run.seed for run in runs})
    told = {
        "Task": ", ".join([first.task, *(f"{k} {v}" for k, v in first.recipe.task.items() if k != "name")]),
        "Seeds" if len(seeds) > 1 else "Seed": ", ".join(str(seed) for seed in seeds),
        "Steps": str(max((row["step"] for run in runs for row in run.rows), default=0)),
    }
    measured = next((e for run in runs for e in (run.after, run.before) if e), None)
    if measured is not None:
        config = measured.config
        told["Evaluation"] = (
            f"{measured.about['problems']['used']} {config.split} problems, {config.samples} answers each, "
            f"temperature {config.temperature:g}, top-p {config.top_p:g}"
        )
    machine = ", ".join(made[key] for key in ("machine", "gpu") if made.get(key, "none") != "none")
    return {**told, "Machine": machine} if machine else told


def missing(runs: Sequence[StoredRun], *, tokens: bool) -> list[str]:
    """Say what the page lacks and how to get it; `tokens` tells whether there is a token view."""
    if all(run.recipe.evaluation is None for run in runs):
        return [
            "The runs have no evaluation (evaluation: null in the recipe), so pass@k, the table and the "
            "token view are left out. Train without --evaluation null to have them."
        ]
    if not tokens and any(run.before for run in runs):
        return [
            "No token view: these evaluations hold no texts and entropies of tokens. They were made by an "
            "earlier version of aent, or by a backend that reports no entropy; a new run keeps them."
        ]
    return []
