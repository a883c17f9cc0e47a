r"""Mathematics problems from files or the hub, checked with math-verify."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from aent.errors import InputError
from aent.tasks.math.boxed import final_answer
from aent.tasks.math.files import read_hub, read_local
from aent.tasks.math.grading import is_readable, is_right, voted_answer
from aent.tasks.math.quantities import number_of
from aent.tasks.task import Row, Split, Task

if TYPE_CHECKING:
    from datasets import Dataset

_PLACE = "{question}"

_UNRELATED = "271828.1828"


@dataclass(frozen=True, kw_only=True)
class MathTask(Task):
    r"""Problems with a mathematical answer, from local files or the hub.

    `train` and `test` are .jsonl or .parquet files, or folders of them. Where `path` is a local
    folder they are relative to it; any other `path` is a data set on the hub, and they are its
    splits. With ``train=None`` there is nothing to train on, only to evaluate.

    The gold answer is the last ``\boxed{...}`` in the answer column, or what follows its last
    ``####``, or the whole of it. A completion's answer is the last ``\boxed{...}``, or what follows
    the last ``####``, or the last expression that math-verify finds near its end. How the two are
    compared says `aent.tasks.math.grading.is_right`.

    `template` is the text around ``{question}``. With `chat` or `system` the prompt is a
    conversation, for models with a chat template; otherwise it is plain text.

    Raises:
        InputError: where `template` has no place for the question, or both splits are one.
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

    def __post_init__(self) -> None:
        if _PLACE not in self.template:
            raise InputError(
                f"task {self.name!r}: template={self.template!r} has no place for the question; "
                f"write {_PLACE} where it goes."
            )
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
            InputError: where the file, the split, a column, a question or an answer is missing, or
                a file is malformed or empty; naming the file and the row.
        """
        from datasets import Dataset

        return Dataset.from_list([row for _, row in self._rows(split)])

    def score(self, completion: str, row: Row) -> float:
        """Return 1 where the completion's answer equals the gold answer, else 0."""
        return float(is_right(completion, row["answer"]))

    def gold(self, row: Row) -> str:
        r"""Return the gold answer in a ``\boxed{}``."""
        return f"\\boxed{{{row['answer']}}}"

    def wrong(self, row: Row) -> str:
        r"""Return the gold number plus one, or an unrelated number, in a ``\boxed{}``."""
        number = number_of(row["answer"])
        return f"\\boxed{{{_UNRELATED if number is None else number + 1}}}"

    def answer(self, completion: str) -> str | None:
        """Return the final answer; numbers and expressions in one way of writing each."""
        return voted_answer(completion)

    def validate(self, split: Split = "test", limit: int | None = None) -> int:
        """Check the rows as every task does, and more; return how many were checked.

        Gold answers must be readable by math-verify, as otherwise only the same letters would be
        right; and no question of the test split may be in the train split.

        Raises:
            InputError: naming the first row that fails.
        """
        rows = self._rows(split)
        for where, row in rows[:limit]:
            if not is_readable(row["answer"]):
                raise InputError(
                    f"{where}: math-verify cannot read the gold answer {row['answer']!r}, so only "
                    "the same letters would be right. Rewrite it as a number or in LaTeX, or "
                    "remove the row."
                )
        if split == "train":
            held_out = {str(row["prompt"]): where for where, row in self._rows("test")}
            for where, row in rows:
                if str(row["prompt"]) in held_out:
                    raise InputError(
                        f"{where} has the same question as {held_out[str(row['prompt'])]}; "
                        "remove it from one of them."
                    )
        return super().validate(split, limit)

    def _rows(self, split: Split) -> list[tuple[str, dict[str, Any]]]:
        return [(where, self._problem(row, where)) for where, row in self._source(split)]

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
        if not answer:
            written = row[self.answer_column]
            raise InputError(f"{where}: the gold answer {written!r} is empty; add it or remove the row.")
        return {"prompt": self._prompt(question), "answer": answer}

    def _question(self, row: Row, where: str) -> str:
        return self._cell(row, "question_column", where)

    def _answer(self, row: Row, where: str) -> str:
        written = self._cell(row, "answer_column", where)
        found = final_answer(written)
        return written.strip() if found is None else found

    def _prompt(self, question: str) -> str | list[dict[str, str]]:
        content = self.template.replace(_PLACE, question)
        if not self.chat and self.system is None:
            return content
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        return [*system, {"role": "user", "content": content}]

    def _cell(self, row: Row, field: str, where: str) -> str:
        """Return a text or a number of a row as text."""
        column = getattr(self, field)
        if column not in row:
            raise InputError(
                f"{where}: there is no column {column!r}; the columns are {', '.join(row)}. "
                f"Set {field} to one of them."
            )
        value = row[column]
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise InputError(
                f"{where}: the {column} is {value!r}, where a text or a number is needed; "
                "correct or remove the row."
            )
        return str(value)


@dataclass(frozen=True, kw_only=True)
class GSM8K(MathTask):
    """Grade-school word problems (openai/gsm8k); set `path`, `train`, `test` for local files."""

    name: ClassVar[str] = "gsm8k"

    path: str | None = "openai/gsm8k"
    config: str | None = "main"
