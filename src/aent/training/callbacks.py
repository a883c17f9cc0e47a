"""What a person sees of a run while it trains, and what the run folder keeps of it."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from transformers import TrainerCallback

from aent.progress import progress_bar
from aent.runs.logged import line


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
        if self.lines and state.is_world_process_zero and "loss" in logs:
            width = len(str(state.max_steps))
            self.console.print(
                f"step {state.global_step:>{width}}/{state.max_steps}  {line(logs)}",
                highlight=False,
                soft_wrap=True,
            )

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar off the screen; also after an error."""
        self.bar.stop()


class MetricsFile(TrainerCallback):
    """Appends every logged row to a JSONL file as it comes; the row is on disk before training goes on."""

    def __init__(self, path: Path):
        self.path = path

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if state.is_world_process_zero:
            with self.path.open("a") as file:
                file.write(json.dumps({"step": state.global_step, **logs}) + "\n")


class GracefulStop(TrainerCallback):
    """On the first Ctrl-C, finish the step, write a checkpoint and stop; the second stops at once.

    Every rank takes the decision at the same step: they are asked after each one.
    """

    def __init__(self, console: Console):
        self.console = console
        self.asked = False
        self.stopped_at: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle SIGINT this way inside the block; once the run has stopped, late ones do nothing."""
        before = signal.signal(signal.SIGINT, self._on_signal)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before if self.stopped_at is None else signal.SIG_IGN)

    def _on_signal(self, *_: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self.console.print("stopping after this step, with a checkpoint (Ctrl-C again stops at once)")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._any_rank_asked():
            self.stopped_at = state.global_step
            control.should_training_stop = control.should_save = True

    def _any_rank_asked(self) -> bool:
        import torch
        from accelerate import PartialState
        from accelerate.utils import reduce

        if PartialState().num_processes == 1:
            return self.asked
        asked = torch.tensor(float(self.asked), device=PartialState().device)
        return bool(reduce(asked, reduction="sum").item())  # type: ignore[union-attr]


class AlreadyTrained(Exception):  # noqa: N818  (not an error)
    """The checkpoint that training was resumed from is that of its last step."""


class AtTheEnd(TrainerCallback):
    """Keeps a run that is resumed from its last step from taking one more, as transformers would.

    It raises when the checkpoint's weights are loaded, so the trainer holds the final policy.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if 0 < state.max_steps <= state.global_step:
            raise AlreadyTrained
