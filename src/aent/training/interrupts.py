"""Ctrl-C, SIGTERM and SIGHUP: finish the step, keep a checkpoint, stop. A second one stops at once."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from rich.console import Console
from transformers import TrainerCallback

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C; what SLURM, Kubernetes and systemd send; what a closed terminal sends."""


class StopRequest:
    """Whether somebody asked the process to stop; the second time it raises KeyboardInterrupt."""

    def __init__(self, announce: Callable[[], None] = lambda: None):
        self._announce = announce
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle `SIGNALS` this way inside the block."""
        with handled(SIGNALS, self._on_signal):
            yield

    def _on_signal(self, *_: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        with suppress(RuntimeError):  # the signal came in the middle of a write to the same stream
            self._announce()


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt inside the block, as Ctrl-C does."""
    with handled(SIGNALS[1:], signal.default_int_handler):
        yield


@contextmanager
def handled(numbers: Sequence[signal.Signals], handler: Any) -> Iterator[None]:
    """Install a handler for signals inside the block.

    A SIGHUP that is already ignored stays ignored: the process was started with ``nohup``. A signal that is
    ignored at the end of the block stays ignored too.
    """
    taken = [n for n in numbers if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    earlier = {number: signal.signal(number, handler) for number in taken}
    try:
        yield
    finally:
        for number, before in earlier.items():
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, before)


class GracefulStop(TrainerCallback):
    """On the first request, finishes the step, writes a checkpoint and stops training.

    All ranks stop at the same step: they agree after each one.
    """

    def __init__(self, console: Console):
        self.stopped_at: int | None = None
        self._request = StopRequest(
            lambda: console.print("stopping after this step, with a checkpoint (Ctrl-C again stops at once)")
        )

    @property
    def asked(self) -> bool:
        """Whether somebody asked this process to stop."""
        return self._request.asked

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen for requests inside the block; once the run has stopped, late ones are ignored."""
        with self._request.listening():
            try:
                yield
            finally:
                if self.stopped_at is not None:
                    for number in SIGNALS:
                        signal.signal(number, signal.SIG_IGN)

    def on_step_end(  # noqa: D102  (a callback of the host)
        self, args: Any, state: Any, control: Any, **_: Any
    ) -> None:
        if self._any_rank_asked():
            self.stopped_at = state.global_step
            control.should_training_stop = control.should_save = True

    def _any_rank_asked(self) -> bool:
        import torch
        from accelerate import PartialState
        from accelerate.utils import reduce

        if PartialState().num_processes == 1:
            return self._request.asked
        asked = torch.tensor(float(self._request.asked), device=PartialState().device)
        return bool(reduce(asked, reduction="sum").item())  # type: ignore[union-attr]
