"""An evaluation on disk while it runs: its settings and the answers so far."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aent.errors import InputError
from aent.evaluation.results import RESULTS, SAMPLES, Record, record_lines
from aent.lock import LOCK
from aent.policies.sampling import Place
from aent.records import json_text, write

SETTINGS = "settings.json"


class Journal:
    """The folder of one evaluation; an interrupted one resumes from it.

    ``settings.json`` says what is evaluated, ``samples.jsonl`` grows batch by batch. Neither is written
    before the first answers, so settings that turn out not to fit can be corrected in the same folder.
    """

    def __init__(self, folder: Path, batch_size: int, settings: str | None = None):
        self.folder = folder
        self.batch_size = batch_size
        self.settings = settings

    @classmethod
    def open(cls, folder: Path, settings: Mapping[str, Any], batch_size: int) -> "Journal":
        """Start an evaluation in an empty folder, or resume one with the same settings.

        Raises:
            InputError: if the folder holds something else, or an evaluation with other settings.
            OSError: if it cannot be written.
        """
        text = json_text(settings, indent=2) + "\n"
        if (folder / SETTINGS).exists():
            _check_same(folder, _earlier(folder / SETTINGS), json.loads(text))
        elif folder.exists() and any(file.name != LOCK for file in folder.iterdir()):
            raise InputError(f"{folder} already holds something; give another --output")
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, batch_size, text)

    @property
    def finished(self) -> bool:
        """Whether the results have been written."""
        return (self.folder / RESULTS).exists()

    def records(self) -> list[Record]:
        """Return the answers of all complete batches, and cut the file after them.

        Raises:
            InputError: if one of them cannot be read.
        """
        file = self.folder / SAMPLES
        if not file.exists():
            return []
        lines = file.read_bytes().split(b"\n")[:-1]
        complete = lines[: len(lines) // self.batch_size * self.batch_size]
        try:
            records = [Record(**json.loads(line)) for line in complete]
        except (ValueError, TypeError) as error:
            raise InputError(f"{file} is damaged: {error}. Remove it to sample the answers again") from None
        os.truncate(file, sum(len(line) + 1 for line in complete))
        return records

    def check(self, records: Sequence[Record], planned: Sequence[Place]) -> None:
        """Check that the answers so far are the first of those that are planned.

        Raises:
            InputError: if they are not, as after two processes that wrote into one folder.
        """
        found = [(record.problem, record.sample) for record in records]
        if found != list(planned[: len(found)]):
            raise InputError(
                f"{self.folder / SAMPLES} is damaged: its answers are not those of this evaluation, in their "
                "order. Remove it to sample them again"
            )

    def append(self, records: Sequence[Record]) -> None:
        """Append the answers of a batch; the settings are written before the first."""
        if self.settings is not None and not (self.folder / SETTINGS).exists():
            write(self.folder / SETTINGS, self.settings)
        with (self.folder / SAMPLES).open("a", encoding="utf-8") as file:
            file.write(record_lines(records))


def _earlier(file: Path) -> Mapping[str, Any]:
    try:
        return json.loads(file.read_bytes())
    except ValueError as error:
        raise InputError(f"{file} is damaged: {error}. Restore it, or give another --output") from None


def _check_same(folder: Path, earlier: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    if isinstance(task := current.get("task"), Mapping):  # a later version has more fields, unset
        known = earlier.get("task") or {}
        current = {**current, "task": {key: v for key, v in task.items() if key in known or v}}
    differing = [
        f"{key}: {earlier.get(key)!r} there, {current.get(key)!r} now"
        for key in sorted({*earlier, *current})
        if earlier.get(key) != current.get(key)
    ]
    if differing:
        raise InputError(
            f"{folder} holds an evaluation with other settings ({'; '.join(differing)}). Give the same "
            "settings to resume it, or another --output."
        )
