"""``aent eval``: pass@k, maj@k and entropy of a model on one task or several."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console

from aent.errors import InputError, unknown
from aent.evaluation import (
    PROTOCOLS,
    EvalConfig,
    Evaluation,
    Journal,
    Sampler,
    TransformersSampler,
    check_vllm,
    load_results,
    load_vllm,
    measure,
    results_table,
    settings,
    summary,
    summary_table,
)
from aent.spec import take_section
from aent.tasks import Task, load_task

SUMMARY = "summary.json"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Evaluate a model on tasks (--task NAME[,NAME...], their fields as --task.FIELD VALUE).

    --protocol paper takes the settings of the paper instead of the defaults; flags win over it.
    """

    model: str
    """A transformers folder, a PEFT adapter or a hub id."""
    output: Path | None = None
    """Folder for results and samples (default: eval-MODEL-TASK here, numbered). An evaluation that was
    stopped goes on when its folder is given again."""
    backend: Literal["transformers", "vllm"] = "transformers"
    """What samples the answers; vllm is faster and reports no entropy."""
    config: Annotated[EvalConfig, tyro.conf.arg(name="")] = field(default_factory=EvalConfig)


def main(argv: Sequence[str]) -> int:
    """Evaluate, print tables and write results with every sampled answer."""
    rest, section = take_section(argv, "task", None)
    rest, protocol = take_section(rest, "protocol", None)
    usual = Arguments(model=tyro.MISSING, config=_protocol(protocol))
    arguments = tyro.cli(Arguments, args=rest, prog="aent eval", default=usual)
    if section is None:
        raise InputError("no task: give --task NAME, for instance --task countdown")
    tasks = _tasks(section)
    from aent.policies.load import check_model
    from aent.progress import hush

    if Path(arguments.model).exists():
        hush()
    stem = f"eval-{Path(arguments.model).name}-{'-'.join(tasks)}"
    folder = arguments.output or _free_folder(stem)
    check_model(arguments.model)
    if arguments.backend == "vllm":
        check_vllm(arguments.model)
    journals = _journals(arguments, tasks, folder)
    console = Console()
    console.print(f"{folder}: answers are kept as they come; --output {folder} goes on", highlight=False)
    _conclude(_evaluations(arguments, tasks, journals, console), folder, console)
    return 0


def _protocol(section: Mapping[str, Any] | None) -> EvalConfig:
    if section is None:
        return EvalConfig()
    name = section.get("name")
    if name not in PROTOCOLS or len(section) > 1:
        raise unknown("protocol", str(name), PROTOCOLS)
    return PROTOCOLS[name]


def _tasks(section: Mapping[str, Any]) -> dict[str, Task]:
    """Return the tasks by name; the fields apply to each."""
    names = str(section["name"]).split(",")
    tasks = {task.name: task for task in (load_task({**section, "name": name}) for name in names)}
    if len(tasks) < len(names):
        raise InputError(f"--task {section['name']} names a task twice; name each once.")
    return tasks


def _journals(arguments: Arguments, tasks: Mapping[str, Task], folder: Path) -> dict[str, Journal]:
    """Begin or find the evaluation of every task: in `folder`, or in a folder in it for each of several."""
    config = arguments.config
    wanted = {
        name: settings(task, config, arguments.model, arguments.backend) for name, task in tasks.items()
    }
    try:
        return {
            name: Journal.open(folder / name if len(tasks) > 1 else folder, each, config.batch_size)
            for name, each in wanted.items()
        }
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error}; give another --output") from error


def _evaluations(
    arguments: Arguments, tasks: Mapping[str, Task], journals: Mapping[str, Journal], console: Console
) -> dict[str, Evaluation]:
    """Return the evaluation of every task; the model is loaded where one is not finished."""
    from aent.progress import progress_bar

    done = {name: load_results(each.folder) for name, each in journals.items() if each.finished}
    sampler = _load(arguments) if len(done) < len(tasks) else None
    for name, task in tasks.items():
        if sampler is None or name in done:
            continue
        with progress_bar(console) as bar:
            shown = bar.add_task(name, total=None)
            done[name] = measure(
                sampler,
                task,
                arguments.config,
                journal=journals[name],
                progress=lambda count, total, bar=bar, shown=shown: bar.update(
                    shown, completed=count, total=total
                ),
            )
    return {name: done[name] for name in tasks}


def _load(arguments: Arguments) -> Sampler:
    if arguments.backend == "vllm":
        return load_vllm(arguments.model)
    from aent.policies.load import load_model

    return TransformersSampler(*load_model(arguments.model))


def _conclude(evaluations: Mapping[str, Evaluation], folder: Path, console: Console) -> None:
    for name, evaluation in evaluations.items():
        if len(evaluations) > 1:
            console.print(name, style="bold")
        console.print(results_table(evaluation))
        if "entropy" not in evaluation.metrics:
            console.print("entropy: not reported by this backend", highlight=False)
    if len(evaluations) > 1:
        console.print(summary_table(evaluations))
        (folder / SUMMARY).write_text(json.dumps(summary(evaluations), indent=2) + "\n", "utf-8")
    console.print(f"{folder}: results.json and samples.jsonl (every sampled answer)", highlight=False)


def _free_folder(stem: str) -> Path:
    number = 1
    while (folder := Path(f"{stem}-{number:03d}")).exists() and any(folder.iterdir()):
        number += 1
    return folder
