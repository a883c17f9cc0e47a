"""What a person sees of a run while it trains, and what the run folder keeps of it."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from transformers import TrainerCallback

from aent.progress import progress_bar
from aent.runs.folder import is_step
from aent.runs.logged import step_summary


class ProgressLines(TrainerCallback):
    """A progress bar, and one line per logging step."""

    def __init__(self, console: Console, title: str, *, lines: bool = True):
        self.console, self.title, self.lines = console, title, lines
        self.bar = progress_bar(console)
        self.task: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            self.bar.start()
            self.task = self.bar.add_task(self.title, total=state.max_steps, completed=state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.task is not None:
            self.bar.update(self.task, completed=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if self.lines and state.is_world_process_zero and is_step(logs):
            width = len(str(state.max_steps))
            self.console.print(
                f"step {state.global_step:>{width}}/{state.max_steps}  {step_summary(logs)}",
                highlight=False,
                soft_wrap=True,
            )

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Remove the bar from the screen; also call this after an error."""
        self.bar.stop()


class MetricsFile(TrainerCallback):
    """Appends every logged row to a JSONL file; the row is on disk before training continues."""

    def __init__(self, path: Path):
        self.path = path

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if state.is_world_process_zero:
            with self.path.open("a") as file:
                file.write(json.dumps({"step": state.global_step, **logs}) + "\n")


class AlreadyTrained(Exception):  # noqa: N818  (not an error)
    """Training was resumed from the checkpoint of its last step."""


class AtTheEnd(TrainerCallback):
    """Keeps a run that is resumed from its last step from taking one more, which transformers would do.

    It raises `AlreadyTrained` once the weights of the checkpoint are loaded, so that the trainer holds the
    final policy.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if 0 < state.max_steps <= state.global_step:
            raise AlreadyTrained
