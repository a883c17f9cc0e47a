"""TensorBoard's event files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aent.errors import InputError

PATTERN = "events.out.tfevents.*"


def rows_of_events(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Return every scalar of event files of one run, one row per value.

    Raises:
        InputError: if tensorboard is not installed, or the files hold no scalars.
    """
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        raise InputError("TensorBoard's event files need its own reader: pip install tensorboard") from None
    rows = []
    for file in sorted(files):
        events = EventAccumulator(str(file), size_guidance={"scalars": 0}).Reload()
        for tag in events.Tags()["scalars"]:
            rows += [{"step": event.step, tag: event.value} for event in events.Scalars(tag)]
    if not rows:
        raise InputError("its event files hold no scalars; give the folder that the trainer logged to")
    return rows
