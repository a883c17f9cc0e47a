"""``aent eval``: pass@k, maj@k and entropy of a model on one task or several."""

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.progress import Progress

from aent.errors import InputError, unknown
from aent.evaluation import PROTOCOLS, EvalConfig, Evaluation, Suite, results_table, summary_table
from aent.evaluation.suite import free_folder
from aent.policies.load import Backend, Dtype
from aent.progress import hush, progress_bar, say
from aent.spec import take_section
from aent.tasks import Task, load_task

LINE_EVERY = 60.0
"""Seconds between two lines of progress where no bar is drawn."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Evaluate a model on tasks (--task NAME[,NAME...], their fields as --task.FIELD VALUE).

    --protocol paper takes the settings of the paper instead of the defaults; flags win over it.
    """

    model: str
    """A transformers folder, a PEFT adapter or a hub id."""
    output: Path | None = None
    """Folder for results and samples (default: eval-MODEL-TASK here, numbered). To resume an interrupted
    evaluation, give its folder again."""
    backend: Backend = "transformers"
    """What samples the answers; vllm is faster on a GPU, and reports no entropy."""
    dtype: Dtype | None = None
    """The numbers the model is loaded with (default: as it was saved)."""
    config: Annotated[EvalConfig, tyro.conf.arg(name="")] = field(default_factory=EvalConfig)


def main(argv: Sequence[str]) -> int:
    """Evaluate, print tables and write results with every sampled answer."""
    rest, section = take_section(argv, "task", None)
    rest, protocol = take_section(rest, "protocol", None)
    defaults = Arguments(model=tyro.MISSING, config=_protocol(protocol))
    arguments = tyro.cli(Arguments, args=rest, prog="aent eval", default=defaults)
    if section is None:
        raise InputError("no task: give --task NAME, for instance --task countdown")
    tasks = _tasks(section)
    if Path(arguments.model).exists():
        hush()
    folder = arguments.output or free_folder(f"eval-{Path(arguments.model).name}-{'-'.join(tasks)}")
    suite = Suite.open(arguments.model, tasks, arguments.config, folder, arguments.backend, arguments.dtype)
    console = Console()
    say(console, f"{folder}: answers are saved as they come; --output {shlex.quote(str(folder))} resumes")
    with progress_bar(console) as bar:
        evaluations = suite.run(lambda task: _Pace(bar, task), lambda line: say(console, line))
    _print(evaluations, console)
    say(console, f"{folder}: results.json and samples.jsonl (every sampled answer)")
    return 0


class _Pace:
    """Shows answers done and tokens per second: in the bar, or where it is not drawn, as a line a minute."""

    def __init__(self, bar: Progress, task: str):
        self.bar, self.task = bar, task
        self.row = bar.add_task(task, total=None)
        self.start = time.monotonic()
        self.printed = self.start

    def __call__(self, done: int, total: int, tokens: int) -> None:
        now = time.monotonic()
        rate = f"{self.task}, {tokens / max(now - self.start, 1e-9):.0f} tokens/s"
        self.bar.update(self.row, completed=done, total=total, description=rate)
        if self.bar.disable and (now - self.printed >= LINE_EVERY or done == total):
            self.printed = now
            self.bar.console.print(f"{done} of {total} answers; {rate}", highlight=False)


def _protocol(section: Mapping[str, Any] | None) -> EvalConfig:
    if section is None:
        return EvalConfig()
    name = section.get("name")
    if name not in PROTOCOLS or len(section) > 1:
        raise unknown("protocol", str(name), PROTOCOLS)
    return PROTOCOLS[name]


def _tasks(section: Mapping[str, Any]) -> dict[str, Task]:
    """Return the tasks by name; the fields apply to each.

    Raises:
        InputError: for a section without a name, a task that is named twice, and as `load_task`.
    """
    if not isinstance(section.get("name"), str):
        raise InputError(
            f"--task {dict(section)} has no name; add one, for instance --task countdown --task.numbers 3"
        )
    names = section["name"].split(",")
    tasks = {task.name: task for task in (load_task({**section, "name": name}) for name in names)}
    if len(tasks) < len(names):
        raise InputError(f"--task {section['name']} names a task twice; name each once.")
    return tasks


def _print(evaluations: Mapping[str, Evaluation], console: Console) -> None:
    for name, evaluation in evaluations.items():
        if len(evaluations) > 1:
            console.print(name, style="bold")
        console.print(results_table(evaluation))
        if "entropy" not in evaluation.metrics:
            console.print("entropy: not reported by this backend", highlight=False)
    if len(evaluations) > 1:
        console.print(summary_table(evaluations))
