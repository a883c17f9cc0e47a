"""A run as a report shows it, and what a report says about the runs on it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aent.evaluation import Evaluation, load_results
from aent.evaluation.results import RESULTS, Record
from aent.experiments.folder import RunFolder
from aent.experiments.recipe import Recipe
from aent.report.content import Line, Seed, Side


@dataclass(frozen=True, kw_only=True)
class ShownRun:
    """What is in a run folder; the sampled answers stay on disk until they are asked for."""

    folder: RunFolder
    recipe: Recipe
    rows: Sequence[Mapping[str, Any]]
    """The logged steps."""
    before: Evaluation | None
    """Without its answers."""
    after: Evaluation | None
    """Without its answers."""

    @classmethod
    def read(cls, folder: RunFolder) -> "ShownRun":
        """Read a run folder.

        Raises:
            InputError: where its recipe or an evaluation is not readable.
        """
        return cls(
            folder=folder,
            recipe=folder.recipe,
            rows=[row for row in folder.read_metrics() if "loss" in row],
            before=_evaluation(folder.before),
            after=_evaluation(folder.after),
        )

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show yet."""
        return not self.rows and self.before is None

    @property
    def finished(self) -> bool:
        """Whether it came to its end, the evaluation included."""
        return self.folder.finished and (self.recipe.evaluation is None or self.after is not None)

    @property
    def seed(self) -> int:
        """The seed it was run with."""
        return self.recipe.trainer.get("seed", 42)  # transformers' own default

    @property
    def task(self) -> str:
        """The name of its task."""
        return str(self.recipe.task["name"])


def _evaluation(folder: Path) -> Evaluation | None:
    return load_results(folder, answers=False) if (folder / RESULTS).exists() else None


def line(label: str, runs: Sequence[ShownRun]) -> Line:
    """Return the finished runs, where there are any, as one line with its seeds."""
    return Line(
        label=label,
        seeds=[
            Seed(
                rows=run.rows,
                before=run.before and run.before.metrics,
                after=run.after and run.after.metrics,
            )
            for run in _finished_first(runs)
        ],
    )


def sides(runs: Mapping[str, Sequence[ShownRun]]) -> list[Side]:
    """Return the policy before training, once where all lines began alike, and after it under each label.

    One run speaks for each label. Policies without kept tokens are left out.
    """
    chosen = {label: _finished_first(found)[0] for label, found in runs.items()}
    first = {label: _spelt(run.folder.before) for label, run in chosen.items()}
    before = {f"{label}, before": records for label, records in first.items()}
    some = next(iter(first.values()))
    if all(records == some for records in first.values()):
        before = {"before training": some}
    after = {f"{label}, after": _spelt(run.folder.after) for label, run in chosen.items()}
    return [Side(label, records) for label, records in {**before, **after}.items() if records]


def _finished_first(runs: Sequence[ShownRun]) -> Sequence[ShownRun]:
    return [run for run in runs if run.finished] or runs


def _spelt(folder: Path) -> list[Record]:
    """Return all answers to the problems that tokens were kept of."""
    records = load_results(folder).records if (folder / RESULTS).exists() else []
    kept = {record.problem for record in records if record.token_texts is not None}
    return [record for record in records if record.problem in kept]


def facts(runs: Sequence[ShownRun], made: Mapping[str, str]) -> dict[str, str]:
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


def versions_of(folder: Path) -> dict[str, str]:
    """Return what a folder says it was made with; empty where it does not."""
    file = folder / "versions.json"
    return json.loads(file.read_text()) if file.exists() else {}


def missing(runs: Sequence[ShownRun], *, tokens: bool) -> list[str]:
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
