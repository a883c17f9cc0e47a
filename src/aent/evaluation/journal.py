"""An evaluation on disk while it runs: what it is of, and the answers so far."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aent.errors import InputError
from aent.evaluation.results import RESULTS, SAMPLES, Record, json_text, record_lines

SETTINGS = "settings.json"


class Journal:
    """The folder of one evaluation, which a killed one goes on from.

    ``settings.json`` says what is evaluated, ``samples.jsonl`` grows batch by batch.
    """

    def __init__(self, folder: Path, batch_size: int):
        self.folder = folder
        self.batch_size = batch_size

    @classmethod
    def open(cls, folder: Path, settings: Mapping[str, Any], batch_size: int) -> "Journal":
        """Begin an evaluation in an empty folder, or go on with the same one.

        Raises:
            InputError: where the folder holds something else, or an evaluation with other settings.
            OSError: where it cannot be written.
        """
        given = json.loads(json_text(settings))
        if (folder / SETTINGS).exists():
            _check_same(folder, json.loads((folder / SETTINGS).read_text("utf-8")), given)
        elif folder.exists() and any(folder.iterdir()):
            raise InputError(f"{folder} already holds something; give another --output")
        else:
            folder.mkdir(parents=True, exist_ok=True)
            draft = folder / f".{SETTINGS}.part"
            draft.write_text(json_text(given, indent=2) + "\n", "utf-8")
            draft.replace(folder / SETTINGS)
        return cls(folder, batch_size)

    @property
    def finished(self) -> bool:
        """Whether the results are there."""
        return (self.folder / RESULTS).exists()

    def records(self) -> list[Record]:
        """Return the answers of all batches that were written whole, and forget the rest."""
        file = self.folder / SAMPLES
        lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
        kept = lines[: len(lines) // self.batch_size * self.batch_size]
        file.write_bytes(b"".join(line + b"\n" for line in kept))
        return [Record(**json.loads(line)) for line in kept]

    def append(self, records: Sequence[Record]) -> None:
        """Write the answers of a batch."""
        with (self.folder / SAMPLES).open("a", encoding="utf-8") as file:
            file.write(record_lines(records))


def _check_same(folder: Path, found: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    differing = [
        f"{key}: {found.get(key)!r} there, {given.get(key)!r} now"
        for key in sorted({*found, *given})
        if found.get(key) != given.get(key)
    ]
    if differing:
        raise InputError(
            f"{folder} holds an evaluation with other settings ({'; '.join(differing)}). Give the same "
            "settings to go on with it, or another --output."
        )
