"""What the fault checks share: a small policy, commands in forked processes, and their results."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TASK = ("--task", "chain", "--task.steps", "2")
SMALL = ("--hidden-size", "32", "--layers", "1", "--vocab-size", "64", "--batch-size", "32")
SHORT = ("--per_device_train_batch_size", "32", "--num_generations", "8", "--logging_steps", "1",
         "--save_steps", "3", "--max_steps", "8", "--learning_rate", "1e-3", "--method", "aent",
         "--method.warmup", "0", "--evaluation.problems", "16", "--evaluation.samples", "4")  # fmt: skip
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
        code = 70
        try:
            out = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            before()
            from aent.cli.main import main

            code = main(list(words))
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

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

    def prepare(self) -> None:
        """Make the policy, and import everything that forked commands will need."""
        from aent.cli.main import main

        if not self.policy.exists():
            words = ["warmstart", "--output", str(self.policy), *TASK, "--demonstrations", "4000", *SMALL]
            assert main(words) == 0
        import jinja2  # noqa: F401
        from transformers import LlamaForCausalLM, PreTrainedTokenizerFast  # noqa: F401
        from trl import GRPOTrainer  # noqa: F401

        import aent.cli.eval
        import aent.training.compare
        import aent.training.train
        import aent.trl  # noqa: F401


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
    return {"metrics": results["metrics"], "answers": (folder / "samples.jsonl").read_bytes()}


def compared(folder: Path) -> list[Mapping[str, Any]]:
    """Return the table of a comparison, without what a clock measured."""
    entries = json.loads((folder / "comparison.json").read_text())["entries"]
    return [entry for entry in entries if entry["metric"] not in CLOCK]
