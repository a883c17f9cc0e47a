"""One model evaluated on one task or several, in one folder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aent.errors import InputError
from aent.evaluation.config import EvalConfig
from aent.evaluation.evaluate import measure, settings
from aent.evaluation.journal import Journal
from aent.evaluation.results import Evaluation, load_results
from aent.evaluation.table import summary
from aent.lock import LOCK, locked
from aent.policies.generate import TransformersSampler
from aent.policies.load import Backend, Dtype, check_model, load_sampler
from aent.policies.memory import generation_memory
from aent.policies.sampling import Prompt, Sampler, Sampling
from aent.policies.vllm import check_vllm
from aent.records import json_text, write
from aent.tasks import Task

SUMMARY = "summary.json"


@dataclass(frozen=True, kw_only=True)
class Suite:
    """The evaluations of a model: one per task, in `folder`, or in a subfolder each if there are several."""

    model: str
    """A transformers folder, a PEFT adapter or a hub id."""
    backend: Backend
    dtype: Dtype | None
    """None loads the model as it was saved."""
    config: EvalConfig
    tasks: Mapping[str, Task]
    """By name."""
    folder: Path
    journals: Mapping[str, Journal]
    """By the name of the task."""

    @classmethod
    def open(
        cls,
        model: str,
        tasks: Mapping[str, Task],
        config: EvalConfig,
        folder: Path,
        backend: Backend,
        dtype: Dtype | None = None,
    ) -> "Suite":
        """Start the evaluations, or resume those in the folder; the model is not loaded yet.

        Raises:
            InputError: if there is no such model, vLLM cannot serve it, a split is empty, or the folder
                holds something else, other tasks included, or cannot be written.
        """
        check_model(model)
        if backend == "vllm":
            check_vllm(model)
        _check_alone(folder, tasks)
        to_open = {name: settings(task, config, model, backend, dtype) for name, task in tasks.items()}
        try:
            journals = {
                name: Journal.open(folder / name if len(tasks) > 1 else folder, each, config.batch_size)
                for name, each in to_open.items()
            }
        except OSError as error:
            raise InputError(f"{folder} cannot be written: {error}; give another --output") from error
        return cls(
            model=model,
            backend=backend,
            dtype=dtype,
            config=config,
            tasks=tasks,
            folder=folder,
            journals=journals,
        )

    def run(
        self,
        progress: Callable[[str], Callable[[int, int, int], None]] | None = None,
        say: Callable[[str], None] | None = None,
    ) -> dict[str, Evaluation]:
        """Return the evaluation of every task; the model is loaded only if one is unfinished.

        With several tasks the scores and their means are also written to ``summary.json``.

        Args:
            progress: called with the name of a task, returns what `measure` calls as its answers come.
            say: called with the memory that each task will take, before its first answer.

        Raises:
            InputError: as `measure`, if a batch of answers does not fit in memory, or if another process
                works in the folder.
            OSError: if the folder cannot be written.
        """
        busy = f"another aent eval is at work in {self.folder}; wait for it, or give another --output"
        with locked(self.folder, busy):
            return self._run(progress, say)

    def _run(
        self,
        progress: Callable[[str], Callable[[int, int, int], None]] | None,
        say: Callable[[str], None] | None,
    ) -> dict[str, Evaluation]:
        evaluations = {
            name: load_results(journal.folder) for name, journal in self.journals.items() if journal.finished
        }
        unfinished = [name for name in self.tasks if name not in evaluations]
        sampler = load_sampler(self.model, self.backend, self.dtype) if unfinished else None
        for name in unfinished:
            assert sampler is not None
            evaluations[name] = measure(
                sampler,
                self.tasks[name],
                self.config,
                journal=self.journals[name],
                before=partial(_check_memory, sampler, say, name),
                progress=progress and progress(name),
            )
        evaluations = {name: evaluations[name] for name in self.tasks}
        if len(evaluations) > 1:
            write(self.folder / SUMMARY, json_text(summary(evaluations), indent=2) + "\n")
        return evaluations


def _check_alone(folder: Path, tasks: Mapping[str, Task]) -> None:
    """Check that a folder with a subfolder per task holds nothing that the summary would leave out.

    Raises:
        InputError: naming the first file or folder that does not belong there.
    """
    if len(tasks) < 2 or not folder.is_dir():
        return
    others = sorted({file.name for file in folder.iterdir()} - {*tasks, SUMMARY, LOCK})
    if others:
        raise InputError(
            f"{folder} already holds {others[0]}, which is none of the tasks {', '.join(tasks)}; "
            "give another --output"
        )


def _check_memory(
    sampler: Sampler,
    say: Callable[[str], None] | None,
    task: str,
    prompts: Sequence[Prompt],
    sampling: Sampling,
) -> None:
    """Check that a batch fits in memory; vLLM sees to that by itself."""
    if not isinstance(sampler, TransformersSampler):
        return
    memory = generation_memory(sampler.policy, sampler.tokenizer, prompts, sampling)
    if say is not None and memory is not None:
        say(f"{task}: {memory}")


def free_folder(stem: str) -> Path:
    """Return the first of ``STEM-001``, ``STEM-002``, ... here that does not exist or is empty."""
    number = 1
    while (folder := Path(f"{stem}-{number:03d}")).exists() and any(folder.iterdir()):
        number += 1
    return folder
