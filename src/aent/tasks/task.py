"""What a task is: a dataset, a reward function, and the proof that they fit together."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from aent.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset

Split = Literal["train", "test"]

Row = Mapping[str, Any]

Completion = str | Sequence[Mapping[str, Any]]


def text(completion: Completion) -> str:
    """Return the text of a completion, plain or conversational (of its last message)."""
    if isinstance(completion, str):
        return completion
    return (completion[-1].get("content") or "") if completion else ""


def check_rewards(rewards: Any, expected: int, name: str) -> list[float | None]:
    """Return what a reward function gave as plain floats; None leaves a completion out.

    Raises:
        InputError: where it is not a sequence of `expected` finite numbers or None; naming the
            reward function and the first index that is wrong.
    """
    values = _plain(rewards)
    if not isinstance(values, list | tuple):
        raise InputError(
            f"reward function {name!r} returned a {type(rewards).__name__}; "
            f"return a list of {expected} numbers, one per completion."
        )
    if len(values) != expected:
        raise InputError(
            f"reward function {name!r} returned {len(values)} rewards for {expected} completions; "
            "return one per completion, None to leave one out."
        )
    return [_check_reward(_plain(value), index, name) for index, value in enumerate(values)]


def _plain(value: Any) -> Any:
    """Turn arrays, tensors and their scalars into Python values."""
    return value.tolist() if hasattr(value, "tolist") else value


def _check_reward(value: Any, index: int, name: str) -> float | None:
    if value is None:
        return None
    if not isinstance(value, Real) or not math.isfinite(value):
        raise InputError(
            f"reward function {name!r} returned {value!r} ({type(value).__name__}) for completion "
            f"{index}; a reward is a finite number, or None to leave the completion out."
        )
    return float(value)


class Task(ABC):
    """Problems with a verifiable reward.

    A subclass is a frozen dataclass; its fields are what ``--task.FIELD`` sets on the command line.
    """

    name: ClassVar[str]
    columns: ClassVar[tuple[str, ...]] = ()
    """The columns of the dataset that `score` reads."""
    free_form: ClassVar[bool] = False
    """Whether a completion can hold more than the answer, so that no ``max_length`` bounds it."""

    @abstractmethod
    def dataset(self, split: Split) -> "Dataset":
        """Return the problems of a split: a column ``prompt`` and the columns `reward` reads.

        The two splits have no problem in common.
        """

    @abstractmethod
    def score(self, completion: str, row: Row) -> float | None:
        """Return the reward of one completion, 1 for right and 0 for wrong; None leaves it out."""

    @abstractmethod
    def gold(self, row: Row) -> str:
        """Return a completion that answers the row rightly."""

    @abstractmethod
    def wrong(self, row: Row) -> str:
        """Return a well-formed completion that answers the row wrongly."""

    @abstractmethod
    def answer(self, completion: str) -> str | None:
        """Return the answer a completion votes for in maj@k, or None where it gives none."""

    def reward(self, completions: Sequence[Completion], **columns: Any) -> list[float | None]:
        """Score completions in the form TRL calls: one list entry per completion and column.

        Whatever else the trainer hands over (its state, logging functions) is not a list and is
        left alone.

        Raises:
            InputError: where a column that `score` reads is missing, or a column is not as long
                as the completions.
        """
        lists = {name: values for name, values in columns.items() if isinstance(values, list)}
        missing = [name for name in self.columns if name not in lists]
        if missing:
            raise InputError(
                f"the reward of task {self.name!r} needs the columns {', '.join(missing)}; given: "
                f"{', '.join(sorted(lists)) or 'none'}. Train on this task's dataset() and keep "
                "its columns (remove_unused_columns=False)."
            )
        for name, values in lists.items():
            if len(values) != len(completions):
                raise InputError(
                    f"column {name!r} has {len(values)} entries for {len(completions)} "
                    "completions; give one entry per completion."
                )
        rows = ({name: values[i] for name, values in lists.items()} for i in range(len(completions)))
        return [self.score(text(c), row) for c, row in zip(completions, rows, strict=True)]

    def validate(self, split: Split = "test", limit: int | None = None) -> int:
        """Check that every gold answer scores 1 and a wrong one 0; return how many were checked.

        Raises:
            InputError: naming the first row that fails, with the completion and its score.
        """
        checked = 0
        for index, row in enumerate(self.dataset(split).to_list()[:limit]):
            for completion, due in ((self.gold(row), 1.0), (self.wrong(row), 0.0)):
                got = self.score(completion, row)
                if got != due:
                    raise InputError(
                        f"task {self.name!r}, {split} row {index}: the completion {completion!r} "
                        f"scores {got}, not {due}. Row: {row}. Correct the row or the reward."
                    )
            checked += 1
        return checked
