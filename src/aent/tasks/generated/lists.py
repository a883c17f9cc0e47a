"""Lists: apply named operations to a list of letters."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from string import ascii_lowercase
from typing import Any, ClassVar

from aent.tasks.generated.generated import GeneratedTask
from aent.tasks.task import Row

_THEN = ">"

OPERATIONS: dict[str, Callable[[str], str]] = {
    "sort": lambda letters: "".join(sorted(letters)),
    "reverse": lambda letters: letters[::-1],
    "unique": lambda letters: "".join(dict.fromkeys(letters)),
    "rotate": lambda letters: letters[1:] + letters[:1],
    "swap": lambda letters: letters if len(letters) < 2 else letters[-1] + letters[1:-1] + letters[0],
}
"""The operations that a prompt can name. `unique` keeps first occurrences, `rotate` moves the first
letter to the end, `swap` exchanges the first and the last letter; a single letter stays as it is."""


@dataclass(frozen=True, kw_only=True)
class Lists(GeneratedTask):
    """Apply the named operations in turn: ``sort,rotate dbca=`` is answered by ``abcd>bcda``.

    The reward reads only the text after the last ``>``.

    A demonstration shows each intermediate list with probability one half. With probability `noise`
    it gets one letter of an operation's result wrong and carries the error forward. A policy that
    imitates the demonstrations perfectly is right about ``(1 - noise) ** operations`` of the time;
    the rest is left for reinforcement learning.

    More `operations`, longer lists and more `letters` make problems harder.
    """

    name: ClassVar[str] = "lists"
    columns: ClassVar[tuple[str, ...]] = ("answer",)
    alphabet: ClassVar[str] = f"{ascii_lowercase} ,={_THEN}"

    operations: int = 2
    length: int = 5
    letters: int = 6
    noise: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("operations", 1 <= self.operations <= 20, "from 1 to 20")
        self._require("length", 2 <= self.length <= 100, "from 2 to 100")
        self._require("letters", 2 <= self.letters <= 26, "from 2 to 26")
        self._require("noise", 0 <= self.noise < 1, "a probability below 1")

    @property
    def instructions(self) -> str:
        """Return the rules, and where the answer goes."""
        return (
            "The line below names operations, separated by commas, and then a list of letters. Apply the "
            "operations in turn. sort: in alphabetical order. reverse: backwards. unique: only the first of "
            "each letter. rotate: the first letter goes to the end. swap: the first and the last letter "
            "swap.\n\n{question}\n\nEnd with > and the final list without spaces, for instance >abc."
        )

    @property
    def max_length(self) -> int:
        """The length of one list per operation plus the separators."""
        return self.operations * (self.length + 1) - 1

    def draw(self, rng: Random) -> dict[str, Any]:
        """Draw operations and letters; the answer is the final list."""
        names = rng.choices(list(OPERATIONS), k=self.operations)
        start = "".join(rng.choices(ascii_lowercase[: self.letters], k=self.length))
        answer = _follow(start, names)[-1]
        prompt = f"{','.join(names)} {start}="
        return {"prompt": prompt, "start": start, "operations": names, "answer": answer}

    def demonstrate(self, row: Row, rng: Random) -> str:
        """Return the intermediate lists, some omitted, and the answer, occasionally with a wrong letter."""
        value, lists = row["start"], []
        for name in row["operations"]:
            value = OPERATIONS[name](value)
            if rng.random() < self.noise:
                value = self._misread(value, rng)
            if rng.random() < 0.5:
                lists.append(value)
        intermediate = lists[:-1] if lists and lists[-1] is value else lists
        return _THEN.join([*intermediate, value])

    def score(self, completion: str, row: Row) -> float:
        """Return 1 if the list after the last ``>`` is the answer, else 0."""
        return float(self.answer(completion) == row["answer"])

    def gold(self, row: Row) -> str:
        """Return every intermediate list and the answer."""
        return _THEN.join(_follow(row["start"], row["operations"]))

    def wrong(self, row: Row) -> str:
        """Return the answer with its first letter doubled."""
        return row["answer"][0] + row["answer"]

    def answer(self, completion: str) -> str | None:
        """Return the letters after the last ``>``, or None if it is followed by anything else."""
        letters = completion.rpartition(_THEN)[2].strip()
        return letters if letters and set(letters) <= set(ascii_lowercase) else None

    def _misread(self, letters: str, rng: Random) -> str:
        """Replace one letter with another."""
        place = rng.randrange(len(letters))
        others = ascii_lowercase[: self.letters].replace(letters[place], "")
        return letters[:place] + rng.choice(others) + letters[place + 1 :]


def _follow(start: str, names: list[str]) -> list[str]:
    """Return the list after each operation."""
    results = []
    for name in names:
        start = OPERATIONS[name](start)
        results.append(start)
    return results
