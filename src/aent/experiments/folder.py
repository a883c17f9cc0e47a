"""A run folder: never overwritten, complete enough to resume from."""

import json
import os
from pathlib import Path
from typing import Any

from aent.errors import InputError
from aent.experiments.recipe import Recipe, dump_recipe, load_recipe
from aent.versions import versions

RECIPE = "config.yaml"
METRICS = "metrics.jsonl"
REPORT = "report.html"


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

    @classmethod
    def create(cls, path: Path | None, stem: str, recipe: Recipe) -> "RunFolder":
        """Make a new folder: `path`, or the next free ``runs/STEM-NNN``.

        Raises:
            InputError: if `path` already holds something, or the folder cannot be written.
        """
        try:
            folder = cls(_next_free(Path("runs"), stem) if path is None else _empty(path))
            write(folder.path / RECIPE, dump_recipe(recipe))
            write(folder.path / "versions.json", json.dumps(versions(), indent=2) + "\n")
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
            InputError: if there is no run in it.
        """
        if not (path / RECIPE).is_file():
            raise InputError(f"{path} is not a run folder: it has no {RECIPE}. Runs are kept in runs/")
        return cls(path)

    @property
    def recipe(self) -> Recipe:
        """The recipe the run was started with, all overrides included."""
        return load_recipe(str(self.path / RECIPE))

    @property
    def finished(self) -> bool:
        """Whether training reached its end."""
        return (self.policy / "config.json").exists() or (self.policy / "adapter_config.json").exists()

    def last_checkpoint(self) -> Path | None:
        """The newest checkpoint that was written to its end."""
        complete = [f.parent for f in self.path.glob("checkpoint-*/trainer_state.json") if _is_whole(f)]
        return max(complete, key=lambda f: int(f.name.split("-")[1]), default=None)

    def read_metrics(self) -> list[dict[str, Any]]:
        """The logged rows, one dict per logging step; a last line cut short is left out."""
        if not self.metrics.exists():
            return []
        lines = self.metrics.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def cut_metrics(self, step: int) -> None:
        """Forget what a resumed run logs again: all after `step`, and the summary of a stopped run."""
        if self.metrics.exists():
            kept = [r for r in self.read_metrics() if r["step"] <= step and "train_runtime" not in r]
            write(self.metrics, "".join(json.dumps(row) + "\n" for row in kept))


def write(path: Path, text: str) -> None:
    """Write a file so that it is either whole or as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        aside.write_text(text)
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _is_whole(path: Path) -> bool:
    """Whether a JSON file was written to its end; transformers writes a checkpoint's state last."""
    try:
        json.loads(path.read_text())
    except ValueError:
        return False
    return True


def _empty(path: Path) -> Path:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(
            f"{path} already holds something and a run never overwrites; give another --output_dir, "
            f"or continue that run with: aent train --resume {path}"
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
