"""The base class of all tasks: a dataset, a reward function, and a check that the two agree."""

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

LARGEST = 3.4e38
"""The largest reward: what float32 can hold."""


def text(completion: Completion) -> str:
    """Return the text of a completion; of a conversation, the text of its last message."""
    if isinstance(completion, str):
        return completion
    return (completion[-1].get("content") or "") if completion else ""


def check_rewards(rewards: Any, expected: int, name: str) -> list[float | None]:
    """Return the rewards as plain floats; None leaves a completion out.

    Raises:
        InputError: if `rewards` is not a sequence of `expected` entries, each a finite number or
            None. The message names the reward function and the first wrong index.
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
    """Convert arrays, tensors and their scalars to Python values."""
    return value.tolist() if hasattr(value, "tolist") else value


def _check_reward(value: Any, index: int, name: str) -> float | None:
    if value is None:
        return None
    if not isinstance(value, Real) or not _in_range(value):
        raise InputError(
            f"reward function {name!r} returned {value!r} ({type(value).__name__}) for completion "
            f"{index}; a reward is a finite number (at most {LARGEST:g}, what float32 holds), or None to "
            "leave the completion out."
        )
    return float(value)


def _in_range(number: Any) -> bool:
    return abs(number) <= LARGEST  # not math.isfinite, which fails for 10**400


class Task(ABC):
    """Problems with a verifiable reward.

    A subclass is a frozen dataclass. ``--task.FIELD`` on the command line sets its fields.
    """

    name: ClassVar[str]
    columns: ClassVar[tuple[str, ...]] = ()
    """The dataset columns that `score` requires."""
    free_form: ClassVar[bool] = False
    """Whether a completion may hold more than the answer, so that ``max_length`` does not bound it."""

    @abstractmethod
    def dataset(self, split: Split) -> "Dataset":
        """Return the problems of a split: a column ``prompt`` and the columns that `reward` reads.

        The two splits share no problem.
        """

    @abstractmethod
    def score(self, completion: str, row: Row) -> float | None:
        """Return the reward of one completion: 1 if right, 0 if wrong, None to leave it out."""

    @abstractmethod
    def gold(self, row: Row) -> str:
        """Return a completion that answers the row correctly."""

    @abstractmethod
    def wrong(self, row: Row) -> str:
        """Return a well-formed completion that answers the row incorrectly."""

    @abstractmethod
    def answer(self, completion: str) -> str | None:
        """Return the answer that a completion votes for in maj@k, or None if it has no answer."""

    def reward(self, completions: Sequence[Completion], **columns: Any) -> list[float | None]:
        """Score completions through the signature TRL calls: every column has one entry per completion.

        Arguments that are not lists, such as the trainer's state and its logging functions, are
        ignored.

        Raises:
            InputError: if a column that `score` requires is missing, or a column and the completions
                differ in length.
        """
        lists = {name: values for name, values in columns.items() if isinstance(values, list)}
        missing = [name for name in self.columns if name not in lists]
        if missing:
            raise InputError(
                f"the reward of task {self.name!r} needs the columns {', '.join(missing)}; it received: "
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
        """Check that every gold answer scores 1 and a wrong one 0; return the number of rows checked.

        Raises:
            InputError: if a row fails. The message shows the first such row, the completion and its
                score.
        """
        return self.check(self.dataset(split).to_list()[:limit], split)

    def check(self, rows: Sequence[Row], split: Split) -> int:
        """Check that every gold answer scores 1 and a wrong one 0, as `validate` does, for some rows."""
        for index, row in enumerate(rows):
            for completion, due in ((self.gold(row), 1.0), (self.wrong(row), 0.0)):
                score = self.score(completion, row)
                if score != due:
                    raise InputError(
                        f"task {self.name!r}, {split} row {index}: the completion {completion!r} "
                        f"scores {score}, not {due}. Row: {row}. Correct the row or the reward."
                    )
        return len(rows)
