"""``aent warmstart``: make a small policy from scratch."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from aent.policies import Warmstart, warmstart
from aent.progress import hush, say
from aent.spec import take_section
from aent.tasks import load_task


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Make a small policy and train it on demonstrations of a task (--task NAME, --task.FIELD VALUE)."""

    output: Path
    """New folder for the policy, an ordinary transformers folder."""
    policy: Annotated[Warmstart, tyro.conf.arg(name="")] = field(default_factory=Warmstart)


def main(argv: Sequence[str]) -> int:
    """Make the policy and say where it is."""
    rest, section = take_section(argv, "task", "countdown")
    section = section or {"name": "countdown"}
    task = load_task(section)
    arguments = tyro.cli(Arguments, args=rest, prog="aent warmstart")
    from aent.training.callbacks import ProgressLines

    hush()
    console = Console()
    lines = ProgressLines(console, "warm start")
    try:
        folder = warmstart(arguments.policy, task, arguments.output, callbacks=[lines])
    finally:
        lines.close()
    evaluate = shlex.join(["aent", "eval", "--model", str(folder), *_flags(section)])
    say(console, f"{folder}: policy and tokenizer. Evaluate it with: {evaluate}")
    return 0


def _flags(section: Mapping[str, Any]) -> list[str]:
    """Return the flags that describe the task on the command line."""
    fields = {name: value if isinstance(value, str) else json.dumps(value) for name, value in section.items()}
    flags = ["--task", fields.pop("name")]
    for name, value in fields.items():
        flags += [f"--task.{name}", value]
    return flags
