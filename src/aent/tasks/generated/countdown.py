"""Countdown: reach a target from all the given numbers with + - * and brackets."""

from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

from aent.tasks.generated.expressions import parse
from aent.tasks.generated.generated import GeneratedTask
from aent.tasks.prompts import CLOSE, OPEN, tagged
from aent.tasks.task import Row


@dataclass(frozen=True, kw_only=True)
class Countdown(GeneratedTask):
    """Use each number exactly once to reach the target: ``3,5,7 22=`` is answered by ``3*5+7``.

    Most problems have many solutions, so a policy that knows one can still discover others.
    Demonstrations show a random solution. Two problems are the same if they have the same numbers, in
    any order, and the same target.

    More `numbers`, and larger ones, make problems harder.
    """

    name: ClassVar[str] = "countdown"
    columns: ClassVar[tuple[str, ...]] = ("numbers", "target")
    alphabet: ClassVar[str] = "0123456789+-*(),= "

    numbers: int = 3
    low: int = 1
    high: int = 9
    max_target: int = 99

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("numbers", 2 <= self.numbers <= 8, "from 2 to 8")
        self._require("low", self.low >= 1, "at least 1")
        self._require("high", self.low <= self.high <= 999, f"from low={self.low} to 999")
        self._require("max_target", 1 <= self.max_target <= 999_999, "from 1 to 999999")

    @property
    def instructions(self) -> str:
        """Return the rules, and where the answer goes."""
        return (
            "Write an expression that uses each of the given numbers exactly once and equals the target. Use "
            "only +, -, * and brackets. The line below gives the numbers, and the target before the sign =."
            "\n\n{question}\n\nGive the expression alone between <answer> and </answer>."
        )

    @property
    def max_length(self) -> int:
        """The length of all numbers, the operators between them, and all but the outermost brackets."""
        return self.numbers * len(str(self.high)) + (self.numbers - 1) + 2 * (self.numbers - 2)

    def draw(self, rng: Random) -> dict[str, Any] | None:
        """Draw numbers and a random expression that uses them; its value is the target."""
        numbers = [rng.randint(self.low, self.high) for _ in range(self.numbers)]
        solution, target = _random_expression(numbers, rng)
        if not 1 <= target <= self.max_target:
            return None
        prompt = f"{','.join(map(str, numbers))} {target}="
        return {"prompt": prompt, "numbers": numbers, "target": target, "solution": solution}

    def demonstrate(self, row: Row, rng: Random) -> str:
        """Return the random solution that the problem was drawn with."""
        return row["solution"]

    def key(self, row: Row) -> str:
        """Return the sorted numbers and the target."""
        return f"{sorted(row['numbers'])} {row['target']}"

    def score(self, completion: str, row: Row) -> float:
        """Return 1 if the expression uses each number once and reaches the target, else 0."""
        expression = parse(self._answered(completion))
        return float(
            expression is not None
            and expression.value == row["target"]
            and sorted(expression.numbers) == sorted(row["numbers"])
        )

    def gold(self, row: Row) -> str:
        """Return the solution the problem was drawn with."""
        return self._put(row["solution"])

    def wrong(self, row: Row) -> str:
        """Return the sum of all numbers, or subtract the last one if that sum is the target."""
        *rest, last = row["numbers"]
        sign = "-" if sum(rest) + last == row["target"] else "+"
        return self._put("+".join(map(str, rest)) + f"{sign}{last}")

    def answer(self, completion: str) -> str | None:
        """Return the expression without white space; each spelling of a solution is a vote of its own."""
        written = self._answered(completion)
        return "".join(written.split()) if parse(written) is not None else None

    @property
    def _tags(self) -> bool:
        """Whether the prompt asks for tags around the answer."""
        return self._template is not None and OPEN in self._template

    def _answered(self, completion: str) -> str:
        return tagged(completion) or "" if self._tags else completion

    def _put(self, expression: str) -> str:
        return f"{OPEN}{expression}{CLOSE}" if self._tags else expression


def _random_expression(numbers: list[int], rng: Random) -> tuple[str, int]:
    """Join random pairs with random operators until one expression is left; return its text and value."""
    pool = [(str(number), number, "") for number in numbers]
    while len(pool) > 1:
        left = pool.pop(rng.randrange(len(pool)))
        right = pool.pop(rng.randrange(len(pool)))
        operator = rng.choice("+-*")
        written = "".join(
            (_operand(left, operator, False, rng), operator, _operand(right, operator, True, rng))
        )
        value = {"+": left[1] + right[1], "-": left[1] - right[1], "*": left[1] * right[1]}
        pool.append((written, value[operator], operator))
    return pool[0][0], pool[0][1]


def _operand(part: tuple[str, int, str], operator: str, is_right: bool, rng: Random) -> str:
    """Write an operand: in brackets where they are needed, and half of the time where they are not."""
    written, _, inner = part
    needed = inner in ("+", "-") and (operator == "*" or (operator == "-" and is_right))
    return f"({written})" if inner and (needed or rng.random() < 0.5) else written
