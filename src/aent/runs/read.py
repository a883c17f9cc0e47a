"""A run, read back from its folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aent.errors import InputError
from aent.evaluation import Evaluation, load_results
from aent.evaluation.results import RESULTS, Record
from aent.runs.folder import VERSIONS, RunFolder
from aent.runs.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """The contents of a run folder, except for the sampled answers, which stay on disk until asked for."""

    folder: RunFolder
    recipe: Recipe
    rows: Sequence[Mapping[str, Any]]
    """The logged training steps."""
    before: Evaluation | None
    """The evaluation before training, without its answers; None where there is none."""
    after: Evaluation | None
    """The evaluation after training, without its answers; None where there is none."""

    @classmethod
    def read(cls, folder: RunFolder) -> "StoredRun":
        """Read a run folder.

        Raises:
            InputError: if its recipe or an evaluation cannot be read.
        """
        return cls(
            folder=folder,
            recipe=folder.recipe,
            rows=folder.logged_steps(),
            before=_evaluation(folder.before),
            after=_evaluation(folder.after),
        )

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show yet."""
        return not self.rows and self.before is None

    @property
    def finished(self) -> bool:
        """Whether the run came to its end, evaluation included."""
        return self.folder.finished and (self.recipe.evaluation is None or self.after is not None)

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self.recipe.trainer.get("seed", 42)  # transformers' own default

    @property
    def task(self) -> str:
        """The name of its task."""
        return str(self.recipe.task["name"])


def _evaluation(folder: Path) -> Evaluation | None:
    return load_results(folder, answers=False) if (folder / RESULTS).exists() else None


def finished_or_all(runs: Sequence[StoredRun]) -> Sequence[StoredRun]:
    """Return the finished runs, or all of them while none is finished."""
    return [run for run in runs if run.finished] or runs


def records_with_tokens(folder: Path) -> list[Record]:
    """Return all answers to those problems of an evaluation for which tokens were kept."""
    records = load_results(folder).records if (folder / RESULTS).exists() else []
    kept = {record.problem for record in records if record.token_texts is not None}
    return [record for record in records if record.problem in kept]


def versions_of(folders: Sequence[Path]) -> dict[str, str]:
    """Return the versions that folders say they were written with, all of them where they differ.

    A folder that does not say counts for nothing; a package that only some had is ``none`` in the others.

    Raises:
        InputError: if a file that says so is not JSON.
    """
    found = [versions for versions in map(_versions, folders) if versions]
    names = dict.fromkeys(name for versions in found for name in versions)
    return {
        name: " and ".join(dict.fromkeys(versions.get(name, "none") for versions in found)) for name in names
    }


def _versions(folder: Path) -> dict[str, str]:
    file = folder / VERSIONS
    try:
        return json.loads(file.read_bytes()) if file.exists() else {}
    except ValueError as error:
        raise InputError(f"{file} is not JSON: {error}. Remove it to do without the versions") from None
