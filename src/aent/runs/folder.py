"""A run folder: never overwritten, complete enough to resume from."""

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aent.errors import InputError
from aent.evaluation.results import RESULTS
from aent.policies.whole import flaw
from aent.records import versions, write, write_all
from aent.runs.recipe import Recipe, dump_recipe, load_recipe

RECIPE = "config.yaml"
METRICS = "metrics.jsonl"
VERSIONS = "versions.json"
REPORT = "report.html"
STATE = "trainer_state.json"
CHECKPOINT = re.compile(r"checkpoint-[0-9]+")


class RunFolder:
    """The files of one run."""

    def __init__(self, path: Path):
        self.path = path
        self.metrics = path / METRICS
        self.policy = path / "policy"
        self.before = path / "before"
        self.after = path / "after"
        self.picture = path / "training.png"
        self.report = path / REPORT
        self._trained = path / ".trained"

    @classmethod
    def create(cls, path: Path | None, stem: str, recipe: Recipe) -> "RunFolder":
        """Create a folder: `path`, or the next free ``runs/STEM-NNN``.

        Raises:
            InputError: if `path` already holds something, or the folder cannot be written.
        """
        contents = {RECIPE: dump_recipe(recipe), VERSIONS: json.dumps(versions(), indent=2) + "\n"}
        try:
            folder = cls(_next_free(Path("runs"), stem) if path is None else _empty(path))
            write_all({folder.path / name: text for name, text in contents.items()})
        except OSError as error:
            where = path or Path("runs").absolute()
            raise InputError(
                f"the run folder cannot be written: {error}. Give a writable place with "
                f"--output_dir (now {where})"
            ) from None
        return folder

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Open the folder of an earlier run.

        Raises:
            InputError: if it holds no run.
        """
        if not (path / RECIPE).is_file():
            raise InputError(f"{path} is not a run folder: it has no {RECIPE}. Runs are kept in runs/")
        return cls(path)

    @property
    def recipe(self) -> Recipe:
        """The recipe that the run was started with, all overrides included."""
        return load_recipe(str(self.path / RECIPE))

    @property
    def resuming(self) -> str:
        """The command that resumes the run."""
        return f"aent train --resume {shlex.quote(str(self.path))}"

    @property
    def has_policy(self) -> bool:
        """Whether the trained policy is there."""
        return (self.policy / "config.json").exists() or (self.policy / "adapter_config.json").exists()

    @property
    def finished(self) -> bool:
        """Whether training reached its end, even if the policy was deleted since."""
        return self.has_policy or self._trained.exists() or (self.after / RESULTS).exists()

    def keep_policy(self, draft: Path) -> None:
        """Move the trained policy to its place, complete or not at all, and note that training has ended."""
        draft.rename(self.policy)
        self._trained.touch()

    def checkpoints(self) -> dict[Path, str | None]:
        """Return all checkpoints, newest first, each with what keeps it from being resumed; None if nothing.

        transformers writes ``trainer_state.json`` last of all files.
        """
        found = [path for path in self.path.glob("checkpoint-*") if CHECKPOINT.fullmatch(path.name)]
        newest_first = sorted(found, key=checkpoint_step, reverse=True)
        return {
            path: flaw(path) if (path / STATE).exists() else f"{STATE} is missing" for path in newest_first
        }

    def last_checkpoint(self) -> Path | None:
        """Return the newest checkpoint that was written completely; None where there is none."""
        return next((path for path, cut in self.checkpoints().items() if cut is None), None)

    def read_metrics(self) -> list[dict[str, Any]]:
        """Return everything that was logged, one dict per row; a last line that was cut short is left out.

        Raises:
            InputError: if another line is not JSON.
        """
        if not self.metrics.exists():
            return []
        lines = self.metrics.read_bytes().split(b"\n")[:-1]
        try:
            rows = [json.loads(line) for line in lines]
        except ValueError as error:
            raise InputError(
                f"{self.metrics} is damaged: {error}. Remove the lines that are not JSON"
            ) from None
        if odd := [row for row in rows if not isinstance(row, dict)]:
            raise InputError(
                f"{self.metrics} is damaged: {odd[0]!r} is not a row of metrics. Remove that line"
            )
        return rows

    def logged_steps(self) -> list[dict[str, Any]]:
        """Return the logged training steps, without evaluations and the summary that TRL logs at the end."""
        return [row for row in self.read_metrics() if is_step(row)]

    def cut_metrics(self, step: int) -> None:
        """Drop what a resumed run will log again: all rows after `step`, and the summary of a stopped run."""
        if self.metrics.exists():
            kept = [r for r in self.read_metrics() if r["step"] <= step and "train_runtime" not in r]
            write(self.metrics, "".join(json.dumps(row) + "\n" for row in kept))


def is_step(row: Mapping[str, Any]) -> bool:
    """Whether a logged row is that of a training step."""
    return "loss" in row


def checkpoint_step(path: Path) -> int:
    """Return the step of a folder ``checkpoint-STEP``."""
    return int(path.name.split("-")[1])


def _empty(path: Path) -> Path:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        instead = ""
        if (path / RECIPE).exists():
            instead = f", or continue that run with: {RunFolder(path).resuming}"
        elif path.is_dir() and all(left.name.startswith(".") for left in path.iterdir()):  # our own drafts
            instead = f", or remove it, since without a {RECIPE} it holds no run to continue"
        raise InputError(
            f"{path} already holds something and a run never overwrites; give another --output_dir{instead}"
        )
    path.mkdir(parents=True, exist_ok=True)
    return path


def _next_free(parent: Path, stem: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    for number in range(1, 100_000):
        path = parent / f"{stem}-{number:03d}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise InputError(f"{parent} already holds 99,999 runs named {stem}; give --output_dir")
