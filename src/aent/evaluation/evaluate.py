"""Evaluating a policy on a task."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aent.errors import InputError
from aent.evaluation.config import EvalConfig
from aent.evaluation.journal import Journal
from aent.evaluation.results import Evaluation, Record, estimates, per_problem
from aent.policies.generate import TransformersSampler
from aent.policies.sampling import Progress, Prompt, Sample, Sampler, Sampling, plan_batches
from aent.records import machine, versions
from aent.tasks.demonstrated import completion_room
from aent.tasks.task import Row, Task, check_rewards

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def evaluate(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    task: Task,
    config: EvalConfig | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Sample answers to the first problems of a split, judge them and compute the metrics.

    Intervals are 95 % percentile bootstraps over problems. The metrics are those of
    `aent.evaluation.results.per_problem`.

    Raises:
        InputError: if the split is empty, and as `aent.policies.generate`.
    """
    steps = None if progress is None else lambda done, total, _: progress(done, total)
    return measure(TransformersSampler(model, tokenizer), task, config or EvalConfig(), progress=steps)


def measure(
    sampler: Sampler,
    task: Task,
    config: EvalConfig,
    *,
    journal: Journal | None = None,
    before: Callable[[Sequence[Prompt], Sampling], None] | None = None,
    progress: Callable[[int, int, int], None] | None = None,
) -> Evaluation:
    """Do what `evaluate` does, with any sampler.

    With a `journal`, answers are written as they come, answers already in it are not sampled again, and
    the results are saved to its folder.

    Args:
        sampler: what samples the answers.
        task: what is asked.
        config: the settings.
        journal: the folder of the evaluation.
        before: called with the prompts and the settings before the first answer.
        progress: called after each batch with how many answers are done, how many there will be, and the
            tokens sampled by this call.

    Raises:
        InputError: as `evaluate`.
        OSError: if the folder of the journal cannot be written.
    """
    started = datetime.now(UTC)
    rows, available = _problems(task, config)
    sampling = config.sampling(_max_tokens(task, config))
    records = [] if journal is None else journal.records()
    if journal is not None:
        journal.check(records, [place for batch in plan_batches(len(rows), sampling) for place in batch])
    prompts, tokens = [row["prompt"] for row in rows], 0
    if before is not None:
        before(prompts, sampling)
    batches = sampler.batches(prompts, sampling, first=len(records) // config.batch_size)
    with closing(batches):
        for batch in batches:
            judged = _judged(task, rows, batch)
            records += judged
            if journal is not None:
                journal.append(judged)
            tokens += sum(record.length for record in judged)
            if progress is not None:
                progress(len(records), len(rows) * config.samples, tokens)
    about = {
        "task": _describe(task),
        "model": sampler.model,
        "problems": {"asked": config.problems, "available": available, "used": len(rows)},
        "max_tokens": sampling.max_tokens,
        "unscored_samples": sum(record.score is None for record in records),
        "versions": versions(),
        "machine": machine(sampler.device),
        "started": started.isoformat(timespec="seconds"),
        "seconds": round((datetime.now(UTC) - started).total_seconds(), 1),
    }
    metrics = estimates(per_problem(records, config.ks), config.seed)
    evaluation = Evaluation(metrics=metrics, config=config, records=records, about=about)
    if journal is not None:
        evaluation.save(journal.folder)
    return evaluation


def settings(
    task: Task, config: EvalConfig, model: str, backend: str, dtype: str | None = None
) -> dict[str, Any]:
    """Return everything the answers of an evaluation depend on; it resumes only if nothing has changed.

    Problems are represented by a digest, the weights of a local model by sizes and times of its files.

    Raises:
        InputError: if the split cannot be read or is empty.
    """
    rows, _ = _problems(task, config)
    written = json.dumps(rows, ensure_ascii=False, default=repr)  # a column of no concern here may hold NaN
    digest = hashlib.sha256(written.encode("utf-8", "surrogatepass")).hexdigest()
    files = [*Path(model).glob("*.safetensors"), *Path(model).glob("*.bin")]
    return {
        "model": model,
        "weights": {file.name: [file.stat().st_size, file.stat().st_mtime_ns] for file in files},
        "backend": backend,
        **({} if dtype is None else {"dtype": dtype}),
        "task": _describe(task),
        "problems_sha256": digest,
        **asdict(config),
        "max_tokens": _max_tokens(task, config),
    }


def _problems(task: Task, config: EvalConfig) -> tuple[Sequence[Row], int]:
    dataset = task.dataset(config.split)
    available = len(dataset)
    if not available:
        raise InputError(
            f"the {config.split} split of task {task.name!r} is empty; "
            f"there is nothing to evaluate. Choose another split."
        )
    count = available if config.problems is None else min(config.problems, available)
    rows = [dataset[index] for index in range(count)]
    if "prompt" not in rows[0]:
        raise InputError(
            f"the {config.split} split of task {task.name!r} has the columns {', '.join(rows[0])} and no "
            "'prompt'; name the column with the prompts so."
        )
    return rows, available


def _max_tokens(task: Task, config: EvalConfig) -> int:
    """Return the limit per answer: as set, else the task's longest answer plus the end token, else 512."""
    if config.max_tokens is not None:
        return config.max_tokens
    return completion_room(task, made=False, otherwise=512)


def _judged(task: Task, rows: Sequence[Row], batch: Sequence[Sample]) -> list[Record]:
    """Return the answers with their scores, which a task of the user's own may get wrong."""
    given = [task.score(answer.completion, rows[answer.problem]) for answer in batch]
    scores = check_rewards(given, len(batch), task.name)
    return [_record(task, rows[a.problem], a, score) for a, score in zip(batch, scores, strict=True)]


def _record(task: Task, row: Row, answer: Sample, score: float | None) -> Record:
    by_token = answer.texts is not None and answer.entropy is not None
    return Record(
        problem=answer.problem,
        prompt=row["prompt"],
        sample=answer.sample,
        completion=answer.completion,
        score=score,
        answer=task.answer(answer.completion),
        entropy=None if answer.entropy is None else sum(answer.entropy) / len(answer.entropy),
        length=len(answer.tokens),
        token_texts=answer.texts if by_token else None,
        token_entropy=[round(nats, 4) for nats in answer.entropy or ()] if by_token else None,
    )


def _describe(task: Task) -> dict[str, Any]:
    names = [field.name for field in fields(task)] if is_dataclass(task) else []
    return {"name": task.name, **{name: getattr(task, name) for name in names}}
