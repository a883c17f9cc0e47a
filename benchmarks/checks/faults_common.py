"""What the fault checks share: a small policy, commands in forked processes, and their results."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any
from unittest.mock import patch

TASK = ("--task", "chain", "--task.steps", "2")
SMALL = ("--hidden-size", "32", "--layers", "1", "--vocab-size", "64", "--batch-size", "32")
SHORT = ("--per_device_train_batch_size", "32", "--num_generations", "8", "--logging_steps", "1",
         "--save_steps", "3", "--max_steps", "8", "--learning_rate", "1e-3", "--method", "aent",
         "--method.warmup", "0", "--evaluation.problems", "16", "--evaluation.samples", "4")  # fmt: skip
COMPARED = ("--methods", "none,aent", "--seeds", "3", "--jobs", "1", "--per_device_train_batch_size", "16",
            "--num_generations", "4", "--logging_steps", "1", "--save_steps", "2", "--max_steps", "4",
            "--learning_rate", "1e-3", "--evaluation.problems", "8", "--evaluation.samples", "4")  # fmt: skip
CLOCK = ("step_time", "train_runtime", "train_samples_per_second", "train_steps_per_second", "seconds")
"""What no two runs have in common."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One fault that was tried."""

    group: str
    """The kind of fault: a line of the table."""
    case: str
    """What was done, to what, and when."""
    survived: bool
    said: str
    """What the program said, or what happened afterwards."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    """The exit code; the negated number of the signal that killed it."""
    text: str
    """What it printed."""
    seconds: float

    @property
    def clean(self) -> bool:
        """Whether no stack trace was printed."""
        return "Traceback" not in self.text

    @property
    def last(self) -> str:
        """The last line."""
        return (self.text.strip().splitlines() or ["(nothing)"])[-1]

    @property
    def explained(self) -> bool:
        """Whether it ended with an error message that is not a stack trace."""
        return self.code == 1 and self.clean and "error: " in self.text


@contextmanager
def ending_here() -> Iterator[list[int]]:
    """End this process, a fork, with the code that the block puts into the list; 70 after an exception."""
    code = [70]
    try:
        yield code
    except SystemExit as stop:
        code[:] = [stop.code if isinstance(stop.code, int) else 1]
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code[0])


class Child:
    """``aent WORDS`` in a forked process, which need not import torch and transformers again."""

    def __init__(self, words: Sequence[str], log: Path, before: Callable[[], object] = lambda: None):
        sys.stdout.flush()
        sys.stderr.flush()
        self.log, self.begun = log, time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            self._be(words, before)

    def _be(self, words: Sequence[str], before: Callable[[], object]) -> None:
        with ending_here() as code:
            out = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            before()
            from aent.cli.main import main

            code[:] = [main(list(words))]

    def send_after(self, seconds: float, number: signal.Signals) -> bool:
        """Send a signal after so many seconds; return False if the command ended before."""
        while time.monotonic() - self.begun < seconds:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return False
            time.sleep(0.005)
        os.kill(self.pid, number)
        return True

    def wait(self) -> Ended:
        """Wait for the end."""
        _, status = os.waitpid(self.pid, 0)
        seconds = time.monotonic() - self.begun
        text = self.log.read_text("utf-8", errors="replace")
        return Ended(code=os.waitstatus_to_exitcode(status), text=text, seconds=seconds)


class ForkedRun:
    """A run of a comparison as a fork, which need not import torch again; takes the place of a Popen."""

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str], stdout: IO[bytes], **_: Any):
        readable, self._writable = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._be(argv[3:], env, readable, stdout.fileno())
        os.close(readable)

    def _be(self, words: Sequence[str], env: Mapping[str, str], readable: int, log: int) -> None:
        with ending_here() as code:
            os.setpgid(0, 0)
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for mine, theirs in ((0, readable), (1, log), (2, log)):
                os.dup2(theirs, mine)
            os.closerange(3, 1000)  # among them the lock of the comparison
            sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
            os.environ.update(env)
            from aent.errors import exit_code
            from aent.training.train import train
            from aent.training.worker import _end_with_parent

            threading.Thread(target=_end_with_parent, daemon=True).start()
            code[:] = [exit_code(lambda: train(list(words)))]

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self._writable)
        return os.waitstatus_to_exitcode(status)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, if the run has not ended."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


def fork_runs() -> None:
    """Let a comparison in this process fork its runs, instead of starting Python for each."""
    from aent.training import workers

    stand_in = SimpleNamespace(Popen=ForkedRun, PIPE=subprocess.PIPE, STDOUT=subprocess.STDOUT)
    patch.object(workers, "subprocess", stand_in).start()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the checks work."""

    folder: Path
    moments: int
    """How many random moments each command is tried at."""
    seed: int

    @property
    def policy(self) -> Path:
        """The policy that all runs start from."""
        return self.folder / "policy"

    def aent(self, *words: object, before: Callable[[], object] = lambda: None) -> Child:
        """Start a command of aent."""
        return Child([str(word) for word in words], self.folder / "log.txt", before)

    def train(self, name: str, *more: str) -> list[str]:
        """Return the words of a short run."""
        model = ["--model_name_or_path", str(self.policy), *TASK, *SHORT, *more]
        return ["train", *model, "--output_dir", str(self.folder / name)]

    def evaluate(self, name: str) -> list[str]:
        """Return the words of a short evaluation in many batches."""
        sizes = ["--problems", "64", "--samples", "4", "--batch-size", "8"]
        return ["eval", "--model", str(self.policy), *TASK, *sizes, "--output", str(self.folder / name)]

    def compare(self, name: str) -> list[str]:
        """Return the words of a small comparison."""
        model = ["--model_name_or_path", str(self.policy), *TASK, *COMPARED]
        return ["compare", "countdown", *model, "--output_dir", str(self.folder / name)]

    def prepare(self) -> None:
        """Make the policy, and import everything that forked commands will need."""
        from aent.cli.main import main

        if not self.policy.exists():
            words = ["warmstart", "--output", str(self.policy), *TASK, "--demonstrations", "4000", *SMALL]
            assert main(words) == 0
        import jinja2  # noqa: F401
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from transformers import LlamaForCausalLM, PreTrainedTokenizerFast  # noqa: F401
        from trl import GRPOTrainer  # noqa: F401

        import aent.calibration.calibrate
        import aent.cli.eval
        import aent.ops.backends.native_kernels
        import aent.report.page
        import aent.training.compare
        import aent.training.train
        import aent.trl  # noqa: F401

        figure = Figure()
        figure.suptitle("Fonts are looked for once")
        FigureCanvasAgg(figure).draw()


def trained(run: Path) -> Mapping[str, Any]:
    """Return what a run consists of, without what a clock measured."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    weights = (run / "policy/model.safetensors").read_bytes()
    steps = [{k: v for k, v in row.items() if k not in CLOCK} for row in rows if "loss" in row]
    return {"steps": steps, "weights": weights, "before": evaluated(run / "before"),
            "after": evaluated(run / "after")}  # fmt: skip


def evaluated(folder: Path) -> Mapping[str, Any]:
    """Return the metrics of an evaluation and its answers."""
    results = json.loads((folder / "results.json").read_text("utf-8"))
    return {"metrics": results["metrics"], "answers": (folder / "samples.jsonl").read_bytes().splitlines()}


def compared(folder: Path) -> list[Mapping[str, Any]]:
    """Return the table of a comparison, without what a clock measured."""
    entries = json.loads((folder / "comparison.json").read_text())["entries"]
    return [entry for entry in entries if entry["metric"] not in CLOCK]
