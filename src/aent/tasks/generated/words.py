"""Words: word problems of one or two steps, and products of small numbers."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from string import ascii_letters
from typing import Any, ClassVar

from aent.tasks.generated.generated import GeneratedTask
from aent.tasks.task import Row, Split

NAMES = ("Anna", "Ben", "Leo", "Mia", "Nina", "Paul", "Sara", "Tom")
THINGS = ("apples", "books", "cards", "coins", "eggs", "pens", "shells", "toys")

_BOXES = "{name} has {0} boxes with {1} {things} in each"
_IN_ALL = "How many {things} are there in all?"
_LEFT = "How many {things} are left?"


@dataclass(frozen=True)
class Story:
    """A kind of problem. Its numbers are first those that are multiplied, then those added or taken away."""

    steps: int
    text: str
    working: str
    answer: Callable[..., int]
    factors: int = 0
    addends: int = 0


STORIES = {
    "times": Story(0, "What is {0} times {1}?", "{0} * {1}", lambda a, b: a * b, 2),
    "product": Story(0, "What is {0} * {1}?", "{0} * {1}", lambda a, b: a * b, 2),
    "boxes": Story(1, f"{_BOXES}. {_IN_ALL}", "{0} * {1}", lambda a, b: a * b, 2),
    "buys": Story(
        1, "{name} has {0} {things} and buys {1} more. " + _IN_ALL, "{0} + {1}", lambda a, b: a + b, 0, 2
    ),
    "gives": Story(
        1, "{name} has {0} {things} and gives away {1}. " + _LEFT, "{0} - {1}", lambda a, b: a - b, 0, 2
    ),
    "boxes-and-more": Story(
        2,
        _BOXES + ", and {2} more {things}. " + _IN_ALL,
        "{0} * {1} + {2}",
        lambda a, b, c: a * b + c,
        2,
        1,
    ),
    "boxes-and-gives": Story(
        2,
        _BOXES + ", and gives away {2} {things}. " + _LEFT,
        "{0} * {1} - {2}",
        lambda a, b, c: a * b - c,
        2,
        1,
    ),
    "buys-and-gives": Story(
        2,
        "{name} has {0} {things}, buys {1} more and gives away {2}. " + _LEFT,
        "{0} + {1} - {2}",
        lambda a, b, c: a + b - c,
        0,
        3,
    ),
}
"""All kinds of problems; 0 steps are a bare product."""

# A sign counts only where no number can stand before it: "= -4", but not "10 - 4".
_NUMBER = re.compile(r"(?:(?<![^\s(=:$*])-)?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?")
_UNFINISHED = re.compile(r"(?:[+/^×÷]|(?<!\*)\*|[0-9]\s*-|times|plus|minus|by)(?:\*\*|[\s($\[{`\\])*$")
_GOES_ON = re.compile(r"(?:\*\*|[\s)$\]}`\\])*(?:[+/^×÷=%]|\*(?!\*))")


@dataclass(frozen=True, kw_only=True)
class Words(GeneratedTask):
    """Word problems for pretrained models: ``Tom has 3 boxes with 4 eggs in each ...`` is answered by ``12``.

    The reward reads the last number of the completion, which must not stand in an unfinished calculation
    (``4 * 12``, ``12 + ``). No answer occurs as a number in its question, so an echo of the question earns
    nothing. Which split a problem belongs to depends on its story and its numbers, not on names and things:
    a test problem never occurs in train about other things.

    Prompts are conversations; set ``chat`` to false for a model without a chat template.

    With ``steps=0`` there are only products, with 1 (the default) also one-step problems, with 2 also
    two-step problems, in equal shares as long as enough distinct ones exist. Larger `high` (addends) and
    `factor` make problems harder.
    """

    name: ClassVar[str] = "words"
    columns: ClassVar[tuple[str, ...]] = ("answer",)
    free_form: ClassVar[bool] = True
    alphabet: ClassVar[str] = f"0123456789{ascii_letters}+-*=,.? "

    steps: int = 1
    high: int = 20
    factor: int = 9
    chat: bool = True
    template: str | None = "{question} Answer with the number only."

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("steps", 0 <= self.steps <= 2, "from 0 to 2")
        self._require("high", 3 <= self.high <= 9999, "from 3 to 9999")
        self._require("factor", 3 <= self.factor <= 999, "from 3 to 999")

    @property
    def max_length(self) -> int:
        """The length of the longest calculation and its result."""
        numbers = 3 if self.steps == 2 else 2
        largest = max(self.factor**2, 2 * self.high) + self.high
        return numbers * (len(str(max(self.factor, self.high))) + 3) + len(str(largest))

    def draw(self, rng: Random) -> dict[str, Any] | None:
        """Draw a story, its numbers, a name and a thing; None if the answer stands in the question."""
        level = rng.randint(0, self.steps)
        kind = rng.choice([name for name, story in STORIES.items() if story.steps == level])
        story = STORIES[kind]
        numbers = [rng.randint(2, self.factor) for _ in range(story.factors)]
        numbers += [rng.randint(2, self.high) for _ in range(story.addends)]
        answer = story.answer(*numbers)
        name, things = rng.choice(NAMES), rng.choice(THINGS)
        if answer < 1 or answer in numbers:
            return None
        question = story.text.format(*numbers, name=name, things=things)
        return {"prompt": question, "story": kind, "numbers": numbers, "answer": answer}

    def demonstrate(self, row: Row, rng: Random) -> str:
        """Return the answer, half of the time with its calculation."""
        return str(row["answer"]) if rng.random() < 0.5 else self.gold(row)

    def score(self, completion: str, row: Row) -> float:
        """Return 1 if the last number is the answer, else 0."""
        return float(self.answer(completion) == str(row["answer"]))

    def gold(self, row: Row) -> str:
        """Return the calculation and the answer."""
        working = STORIES[row["story"]].working.format(*row["numbers"])
        return f"{working} = {row['answer']}"

    def wrong(self, row: Row) -> str:
        """Return the answer plus one."""
        return str(row["answer"] + 1)

    def answer(self, completion: str) -> str | None:
        """Return the last number without separators, or None if it belongs to an unfinished calculation."""
        places = list(_NUMBER.finditer(completion))
        if not places or len(places[-1][0]) > 30:
            return None
        last = places[-1]
        if _UNFINISHED.search(completion[: last.start()]) or _GOES_ON.match(completion, last.end()):
            return None
        return str(Fraction(last[0].replace(",", "")))

    def _side(self, row: Row) -> Split:
        kind = "times" if row["story"] == "product" else row["story"]
        digest = hashlib.sha256(f"{self.name} {kind} {row['numbers']}".encode()).digest()
        return "test" if int.from_bytes(digest[:8], "big") % 5 == 0 else "train"
