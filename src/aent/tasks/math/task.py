"""Mathematics problems from files or the hub."""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from aent.errors import InputError
from aent.tasks.math.boxed import final_answer
from aent.tasks.math.files import read_hub, read_local
from aent.tasks.math.grading import Kind, is_readable, is_right, spell, voted_answer
from aent.tasks.math.quantities import number_of
from aent.tasks.prompts import check_template, prompt_of
from aent.tasks.task import Row, Split, Task

if TYPE_CHECKING:
    from datasets import Dataset

_UNRELATED = "271828.1828"


class _FaultyRowError(InputError):
    """A row that ``skip_faulty`` leaves out."""


@dataclass(frozen=True, kw_only=True)
class MathTask(Task):
    r"""Problems with a mathematical answer, from local files or the hub.

    `train` and `test` are .jsonl or .parquet files, or folders of them. Where `path` is a local
    folder they are relative to it; any other `path` is a data set on the hub, and they are its
    splits. With ``train=None`` there is nothing to train on, only to evaluate.

    The gold answer is the last ``\boxed{...}`` in the answer column, or the text after its last
    ``####``, or the whole column. A completion's answer is the last ``\boxed{...}``, or the last
    ``<answer>``, or the text after the last ``####``, or the last expression of the text.
    `aent.tasks.math.grading.is_right` explains how the two are compared.

    `kind` is what the questions ask for: ``number``, ``expression`` or ``any``; by default each gold
    answer says it. With ``number``, only a number written out is right, not ``5 + 7 + 9``. Answers in
    ``<think>`` sections earn nothing unless `pay_thoughts`, nor do answers that were cut off, unless
    `pay_truncated`.

    A row is faulty if its question or gold answer is empty or not a text or finite number, if the gold
    answer cannot be read, or if another row asks the same question with another answer. Faulty rows are
    refused, or with `skip_faulty` left out; `skipped` counts them.

    `template` is the text around ``{question}``. With `chat` or `system` the prompt is a
    conversation, for models with a chat template; otherwise it is plain text.

    Raises:
        InputError: if `template` has no place for the question, or both splits are the same.
    """

    name: ClassVar[str] = "math"
    columns: ClassVar[tuple[str, ...]] = ("answer",)

    path: str | None = None
    config: str | None = None
    train: str | None = "train"
    test: str = "test"
    question_column: str = "question"
    answer_column: str = "answer"
    template: str = "{question}\n\nReason step by step, and put the final answer in \\boxed{}."
    chat: bool = False
    system: str | None = None
    kind: Kind | None = None
    pay_thoughts: bool = False
    pay_truncated: bool = False
    skip_faulty: bool = False

    def __post_init__(self) -> None:
        check_template(self.name, self.template)
        if self.path is not None and self.path.endswith((".jsonl", ".parquet")):
            raise InputError(
                f"task {self.name!r}: path={self.path!r} is a file, but path is a folder or a data set on "
                "the hub; give files as train and test, for instance path=., train=a.jsonl, test=b.jsonl."
            )
        if self.train == self.test:
            raise InputError(
                f"task {self.name!r}: train and test are both {self.test!r}; give two different "
                "ones, or train=None to evaluate only."
            )

    def dataset(self, split: Split) -> "Dataset":
        """Return the problems of a split, with the final answer as text.

        Raises:
            InputError: if the file, the split or a column is missing, a file is malformed or empty, or a
                row is faulty. The message names the file and the row.
        """
        from datasets import Dataset

        return Dataset.from_list([row for _, row in self._rows(split)])

    def score(self, completion: str, row: Row) -> float:
        """Return 1 if the completion's answer equals the gold answer, else 0.

        If the row has a ``prompt`` (in TRL's rewards ``prompts``), its expressions are no answers.
        """
        right = is_right(
            completion,
            row["answer"],
            question=_asked(row.get("prompt", row.get("prompts"))),
            kind=self.kind,
            thoughts=self.pay_thoughts,
            truncated=self.pay_truncated,
        )
        return float(right)

    def gold(self, row: Row) -> str:
        r"""Return the gold answer in a ``\boxed{}``."""
        return f"\\boxed{{{row['answer']}}}"

    def wrong(self, row: Row) -> str:
        r"""Return the gold number plus one, or an unrelated number, in a ``\boxed{}``."""
        number = number_of(row["answer"])
        return f"\\boxed{{{_UNRELATED if number is None else number + 1}}}"

    def answer(self, completion: str) -> str | None:
        """Return the final answer in one spelling, so that equal answers are one vote."""
        return voted_answer(completion, thoughts=self.pay_thoughts, truncated=self.pay_truncated)

    def validate(self, split: Split = "test", limit: int | None = None) -> int:
        """Check the rows as every task does, and that no train question is in the test split.

        Returns:
            The number of rows checked.

        Raises:
            InputError: if a row fails. The message shows the first such row.
        """
        rows = self._rows(split, limit)
        if split == "train":
            held_out = {str(row["prompt"]): where for where, row in self._rows("test")}
            for where, row in rows:
                if str(row["prompt"]) in held_out:
                    raise InputError(
                        f"{where} has the same question as {held_out[str(row['prompt'])]}; "
                        "remove it from one of them."
                    )
        return self.check([row for _, row in rows], split)

    def skipped(self, split: Split) -> int:
        """Return the number of faulty rows of a split that ``skip_faulty`` leaves out."""
        return len(self._source(split)) - len(self._rows(split)) if self.skip_faulty else 0

    def _rows(self, split: Split, limit: int | None = None) -> list[tuple[str, dict[str, Any]]]:
        """Return the problems of the first `limit` rows of a split.

        Raises:
            InputError: if a row is faulty and not to be skipped, or no row is left.
        """
        source, problems, faults = self._source(split)[:limit], [], []
        for where, row in source:
            try:
                problems.append((where, self._problem(row, where)))
            except _FaultyRowError as fault:
                faults.append(str(fault))
        problems, conflicts = _without_conflicts(problems)
        faults += conflicts
        if faults and not self.skip_faulty:
            raise InputError(faults[0] + " Or leave such rows out with skip_faulty=true.")
        if not problems:
            raise InputError(f"task {self.name!r}: all {len(source)} {split} rows are faulty. {faults[0]}")
        if faults:
            warnings.warn(
                f"task {self.name!r}: {len(source) - len(problems)} of {len(source)} {split} rows are faulty "
                f"and left out. The first fault: {faults[0]}",
                stacklevel=3,
            )
        return problems

    def _source(self, split: Split) -> list[tuple[str, dict[str, Any]]]:
        chosen = self.train if split == "train" else self.test
        if chosen is None:
            raise InputError(
                f"task {self.name!r} has no train split (train=None), so it can only be evaluated; "
                "set train to a file or a split."
            )
        if self.path is None:
            return read_local(Path(chosen).expanduser())
        folder = Path(self.path).expanduser()
        if folder.is_dir():
            return read_local(folder / chosen)
        if folder.is_absolute() or self.path.startswith((".", "~")):
            raise InputError(f"no such folder: path={self.path!r}. Correct it, or name a hub data set.")
        return read_hub(self.path, self.config, chosen)

    def _problem(self, row: Row, where: str) -> dict[str, Any]:
        question, answer = self._question(row, where), self._answer(row, where)
        if not question.strip():
            raise _FaultyRowError(f"{where}: the question is empty; add it or remove the row.")
        if not answer:
            written = row[self.answer_column]
            raise _FaultyRowError(f"{where}: the gold answer {written!r} is empty; add it or remove the row.")
        if self.kind == "number" and not is_readable(answer, self.kind):
            raise _FaultyRowError(
                f"{where}: the gold answer {answer!r} is not a number, as task {self.name!r} asks for. Set "
                "kind=any if expressions are right too, rewrite it, or remove the row."
            )
        if not is_readable(answer):
            raise _FaultyRowError(
                f"{where}: math-verify cannot read the gold answer {answer[:200]!r}, so only the same "
                "letters would be right. Rewrite it as a number or in LaTeX, or remove the row."
            )
        prompt = prompt_of(question, self.template, chat=self.chat, system=self.system)
        return {"prompt": prompt, "answer": answer}

    def _question(self, row: Row, where: str) -> str:
        return self._cell(row, "question_column", where)

    def _answer(self, row: Row, where: str) -> str:
        written = self._cell(row, "answer_column", where)
        found = final_answer(written)
        return written.strip() if found is None else found

    def _cell(self, row: Row, field: str, where: str) -> str:
        """Return a text or a number in a row as text."""
        column = getattr(self, field)
        if column not in row:
            raise InputError(
                f"{where}: there is no column {column!r}; the columns are {', '.join(row)}. "
                f"Set {field} to one of them."
            )
        value = row[column]
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not (isinstance(value, str) or whole or (isinstance(value, float) and math.isfinite(value))):
            raise _FaultyRowError(
                f"{where}: the {column} is {value!r}, but must be a text or a finite number; "
                "correct or remove the row."
            )
        return str(value)


def _asked(prompt: Any) -> str:
    """Return the text of a prompt; of a conversation, that of its last message from the user."""
    if isinstance(prompt, list):
        users = [message for message in prompt if message.get("role") == "user"]
        prompt = users[-1].get("content") if users else None
    return prompt if isinstance(prompt, str) else ""


_Problems = list[tuple[str, dict[str, Any]]]


def _without_conflicts(problems: _Problems) -> tuple[_Problems, list[str]]:
    """Return the problems without those that are asked twice with different answers, and the faults."""
    first: dict[str, tuple[str, str]] = {}
    faults, conflicting = [], set()
    for where, row in problems:
        question = str(row["prompt"])
        other, answer = first.setdefault(question, (where, row["answer"]))
        if answer != row["answer"] and spell(answer) != spell(row["answer"]):
            conflicting.add(question)
            faults.append(
                f"{where} asks the same question as {other}, but its answer is {row['answer']!r} instead of "
                f"{answer!r}; remove one of them."
            )
    return [problem for problem in problems if str(problem[1]["prompt"]) not in conflicting], faults


@dataclass(frozen=True, kw_only=True)
class GSM8K(MathTask):
    """Grade-school word problems (openai/gsm8k); set `path`, `train`, `test` for local files."""

    name: ClassVar[str] = "gsm8k"

    kind: Kind | None = "number"
    path: str | None = "openai/gsm8k"
    config: str | None = "main"
