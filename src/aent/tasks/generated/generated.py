"""The base class of synthetic tasks: problems drawn from a seed, with demonstrations for a warm start."""

import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from aent.errors import InputError
from aent.tasks.prompts import PLACE, check_template, prompt_of
from aent.tasks.task import Row, Split, Task

if TYPE_CHECKING:
    from datasets import Dataset

_TEST_SHARE = 5  # one problem in five belongs to the test side

_PATIENCE = 5_000  # draws without a new problem before giving up ...

_PATIENCE_PER_PROBLEM = 30  # ... and more per problem already drawn, as the remaining ones are rare


@dataclass(frozen=True, kw_only=True)
class GeneratedTask(Task):
    """A task whose problems are drawn at random from `seed`, all distinct.

    Only a stable hash of a problem's key decides whether the problem belongs to train or to test.
    Therefore the splits stay disjoint for all sizes and seeds, and demonstrations never show a test
    problem. With the same seed, a larger split extends the smaller one.

    With `chat` or `system` the prompt is a conversation, for models with a chat template; it then holds the
    problem and the task's `instructions`, unless `template` gives another text around ``{question}``.

    Raises:
        InputError: if a size or a difficulty field is out of range, or `template` has no ``{question}``.
    """

    train_size: int = 1000
    test_size: int = 200
    seed: int = 0
    template: str | None = None
    chat: bool = False
    system: str | None = None

    alphabet: ClassVar[str]
    """All characters that prompts and demonstrations may contain, in a fixed order."""

    def __post_init__(self) -> None:
        self._require("train_size", self.train_size >= 1, "at least 1")
        self._require("test_size", self.test_size >= 1, "at least 1")
        check_template(self.name, self.template)

    @property
    def instructions(self) -> str:
        """The template for models that have not seen the task: what to do, and where to put the answer."""
        return PLACE

    @property
    @abstractmethod
    def max_length(self) -> int:
        """Maximum number of characters in a demonstrated completion, without the end-of-sequence token."""

    @abstractmethod
    def draw(self, rng: Random) -> dict[str, Any] | None:
        """Draw a problem: its ``prompt`` and answer columns, or None if the draw is not usable."""

    @abstractmethod
    def demonstrate(self, row: Row, rng: Random) -> str:
        """Return a random completion for the policy to imitate at the start."""

    def key(self, row: Row) -> str:
        """Return the identity of a problem: its prompt, unless a task overrides this."""
        return row["prompt"]

    def dataset(self, split: Split) -> "Dataset":
        """Return the distinct problems of a split.

        Raises:
            InputError: if fewer problems exist at this difficulty than the size asks for.
        """
        from datasets import Dataset

        size = self.train_size if split == "train" else self.test_size
        rows: dict[str, dict[str, Any]] = {}
        repeats = 0
        for row in self._draws(split, Random(f"{self.name} {split} {self.seed}")):
            key = self.key(row)
            repeats = repeats + 1 if key in rows else 0
            rows.setdefault(key, row)
            if len(rows) == size:
                return Dataset.from_list([{**row, "prompt": self._prompt(row)} for row in rows.values()])
            if repeats > _PATIENCE + _PATIENCE_PER_PROBLEM * len(rows):
                break
        raise InputError(
            f"task {self.name!r} has {len(rows)} distinct {split} problems at this difficulty "
            f"({self._difficulty()}), and {split}_size={size} asks for more. "
            f"Set {split}_size to at most {len(rows)}, or make the problems more varied."
        )

    def demonstrations(self, n: int, seed: int = 0) -> "Dataset":
        """Return `n` completions to imitate: columns ``prompt`` and ``completion``, both strings.

        The problems are fresh draws from the train side and may repeat. The completions are random
        rather than canonical, so a policy trained on them explores from the start.

        Raises:
            InputError: if `n` is not positive, no problem exists at this difficulty, or prompts have text
                around the problem, which demonstrations do not.
        """
        from datasets import Dataset

        if n < 1:
            raise InputError(f"demonstrations(n={n}): n must be at least 1.")
        if self._written_out:
            raise InputError(
                f"task {self.name!r} has chat, system or template set, so its prompts are for a pretrained "
                "model; a policy from scratch is trained on bare problems. Unset them "
                "(chat=false, template=null), or give a model."
            )
        rng = Random(f"{self.name} demonstrations {seed}")
        draws = self._draws("train", rng)
        rows = (next(draws) for _ in range(n))
        return Dataset.from_list(
            [{"prompt": row["prompt"], "completion": self.demonstrate(row, rng)} for row in rows]
        )

    @property
    def _written_out(self) -> bool:
        return self.chat or self.system is not None or self.template is not None

    @property
    def _template(self) -> str | None:
        """The text around the problem, None if it is bare."""
        return self.instructions if self.template is None and self._written_out else self.template

    def _prompt(self, row: Row) -> str | list[dict[str, str]]:
        return prompt_of(row["prompt"], self._template, chat=self.chat, system=self.system)

    def _draws(self, split: Split, rng: Random) -> Iterator[dict[str, Any]]:
        """Yield problems of a split endlessly."""
        failures = 0
        while failures < _PATIENCE:
            row = self.draw(rng)
            if row is not None and self._side(row) == split:
                failures = 0
                yield row
            failures += 1
        raise InputError(
            f"task {self.name!r}: {_PATIENCE} draws in a row yielded no {split} problem at this "
            f"difficulty ({self._difficulty()}). Make the problems more varied."
        )

    def _side(self, row: Row) -> Split:
        digest = hashlib.sha256(f"{self.name} {self.key(row)}".encode()).digest()
        return "test" if int.from_bytes(digest[:8], "big") % _TEST_SHARE == 0 else "train"

    def _difficulty(self) -> str:
        common = {field.name for field in fields(GeneratedTask)}
        own = (field.name for field in fields(self) if field.name not in common)
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in own)

    def _require(self, field: str, holds: bool, allowed: str) -> None:
        if not holds:
            raise InputError(
                f"task {self.name!r}: {field}={getattr(self, field)!r} is out of range; it must be {allowed}."
            )
