"""The controller's state beside a checkpoint of verl."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aent.errors import InputError
from aent.records import json_text, write

FILE = "aent.json"


def folder_of_step(config: Any, step: int) -> Path:
    """Return the folder in which verl saves the checkpoint of a training step."""
    return Path(config.trainer.default_local_dir) / f"global_step_{step}"


def folder_to_resume(config: Any) -> Path | None:
    """Return the folder that verl is about to resume from; None if it starts anew.

    Raises:
        InputError: if it is to resume from a path that is not given.
    """
    from verl.utils.checkpoint.checkpoint_manager import (  # pyright: ignore[reportMissingImports]
        find_latest_ckpt_path,
    )

    trainer = config.trainer
    if trainer.resume_mode == "disable":
        return None
    if trainer.resume_mode == "resume_path":
        if not trainer.resume_from_path:
            raise InputError(
                "trainer.resume_mode=resume_path needs trainer.resume_from_path; set it to a folder "
                "global_step_N"
            )
        return Path(trainer.resume_from_path).absolute()
    latest = find_latest_ckpt_path(str(Path(trainer.default_local_dir).absolute()))
    return None if latest is None else Path(latest)


def save(folder: Path, state: Mapping[str, Any]) -> None:
    """Write the state into a folder, whole, before verl marks the checkpoint as the latest."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / FILE, json_text(dict(state), indent=2) + "\n")


def load(folder: Path) -> dict[str, Any]:
    """Read the state of a checkpoint.

    Raises:
        InputError: if there is no such folder, or it has no state, or one that is not JSON.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder} to resume from; check trainer.resume_from_path")
    path = folder / FILE
    if not path.is_file():
        raise InputError(
            f"{folder} has no {FILE}: it was not written by one of aent's trainers. Resume with the trainer "
            "that wrote it, or start a new run from the checkpoint's weights"
        )
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(
            f"{path} is damaged: {error}. Resume from an earlier checkpoint, or start a new run from this "
            "one's weights"
        ) from None
