"""Evaluating a policy on a task."""

import platform
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import torch

from aent.errors import InputError
from aent.evaluation.config import EvalConfig
from aent.evaluation.results import Evaluation, Record, estimates, per_problem
from aent.evaluation.sample import Progress, Sample, generate
from aent.tasks.base import Row, Task
from aent.versions import versions

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def evaluate(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    task: Task,
    config: EvalConfig | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Sample answers to the first problems of a split, judge them, and sum up.

    Intervals are 95 % percentile bootstraps over problems. The metrics are those of
    `aent.evaluation.results.per_problem`.

    Raises:
        InputError: where the split is empty, or as `generate`.
    """
    config = config or EvalConfig()
    started = datetime.now(UTC)
    rows, available = _problems(task, config)
    max_tokens = config.max_tokens or _room(task)
    answers = generate(
        model,
        tokenizer,
        [row["prompt"] for row in rows],
        samples=config.samples,
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=config.top_k,
        max_tokens=max_tokens,
        batch_size=config.batch_size,
        seed=config.seed,
        progress=progress,
    )
    records = [_record(task, rows[answer.problem], answer) for answer in answers]
    about = {
        "task": _describe(task),
        "model": getattr(model, "name_or_path", ""),
        "problems": {"asked": config.problems, "available": available, "used": len(rows)},
        "max_tokens": max_tokens,
        "unscored_samples": sum(record.score is None for record in records),
        "versions": versions(),
        "machine": _machine(model.device),
        "started": started.isoformat(timespec="seconds"),
        "seconds": round((datetime.now(UTC) - started).total_seconds(), 1),
    }
    metrics = estimates(per_problem(records, config.ks), config.seed)
    return Evaluation(metrics=metrics, config=config, records=records, about=about)


def _problems(task: Task, config: EvalConfig) -> tuple[Sequence[Row], int]:
    dataset = task.dataset(config.split)
    available = len(dataset)
    if not available:
        raise InputError(
            f"the {config.split} split of task {task.name!r} is empty; "
            f"there is nothing to evaluate. Choose another split."
        )
    count = available if config.problems is None else min(config.problems, available)
    return [dataset[index] for index in range(count)], available


def _room(task: Task) -> int:
    """Return the tokens an answer may take: the task's longest and the end token, or 512."""
    longest = getattr(task, "max_length", None)
    return 512 if longest is None else longest + 1


def _record(task: Task, row: Row, answer: Sample) -> Record:
    return Record(
        problem=answer.problem,
        prompt=row["prompt"],
        sample=answer.sample,
        completion=answer.completion,
        score=task.score(answer.completion, row),
        answer=task.answer(answer.completion),
        entropy=sum(answer.entropy) / len(answer.entropy),
        length=len(answer.tokens),
    )


def _describe(task: Task) -> dict[str, Any]:
    names = [field.name for field in fields(task)] if is_dataclass(task) else []
    return {"name": task.name, **{name: getattr(task, name) for name in names}}


def _machine(device: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "platform": platform.platform(),
        "device": f"{device.type}: {name}",
        "threads": torch.get_num_threads(),
    }
