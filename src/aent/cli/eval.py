"""``aent eval``: pass@k, maj@k and entropy of a model on a task."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from aent.cli.overrides import take_section
from aent.errors import InputError
from aent.evaluation import EvalConfig
from aent.tasks import load_task


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Evaluate a model on a task (--task NAME, its fields as --task.FIELD VALUE)."""

    model: str
    """A transformers folder, a PEFT adapter or a hub id."""
    output: Path | None = None
    """Folder for results.json and samples.jsonl (default: eval-MODEL-TASK here, numbered)."""
    config: Annotated[EvalConfig, tyro.conf.arg(name="")] = field(default_factory=EvalConfig)


def main(argv: Sequence[str]) -> int:
    """Evaluate, print a table and write results with every sampled answer."""
    rest, section = take_section(argv, "task", None)
    arguments = tyro.cli(Arguments, args=rest, prog="aent eval")
    if section is None:
        raise InputError("no task: give --task NAME, for instance --task countdown")
    task = load_task(section)
    from aent.evaluation import results_table
    from aent.experiments.models import check_model
    from aent.experiments.progress import hush
    from aent.experiments.run import evaluate_folder

    if Path(arguments.model).exists():
        hush()
    folder = arguments.output or _free_folder(f"eval-{Path(arguments.model).name}-{task.name}")
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} already holds something; give another --output")
    check_model(arguments.model)
    try:
        folder.mkdir(parents=True, exist_ok=True)  # now, not when every answer has been sampled
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error}; give another --output") from error
    console = Console()
    evaluation = evaluate_folder(arguments.model, task, arguments.config, console, "evaluation")
    evaluation.save(folder)
    console.print(results_table(evaluation))
    console.print(f"{folder}: results.json and samples.jsonl (every sampled answer)", highlight=False)
    return 0


def _free_folder(stem: str) -> Path:
    number = 1
    while (folder := Path(f"{stem}-{number:03d}")).exists() and any(folder.iterdir()):
        number += 1
    return folder
