"""Chain: arithmetic operations applied from left to right, with the answer at the end."""

from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

from aent.tasks.generated.generated import GeneratedTask
from aent.tasks.prompts import PLACE
from aent.tasks.task import Row

_MARK = "#"

_MAX_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class Chain(GeneratedTask):
    """Apply each operation in turn, modulo `modulus`: ``7+5*3-4=`` is answered by ``2,6,2#2``.

    Operators have no precedence: modulo 10, 7+5 is 2, times 3 is 6, minus 4 is 2. The reward reads only
    the text after the last ``#``; the policy is free to write any working before it.

    A demonstration omits each step of the working with probability `skip`, and otherwise writes it as
    ``2`` or as ``7+5=2``. With probability `noise` it replaces the result of a step by any other number
    below `modulus` and carries the error forward. A policy that imitates the demonstrations perfectly
    is right about ``(1 - noise) ** steps`` of the time; the rest is left for reinforcement learning.

    More `steps`, larger numbers and a larger `modulus` make problems harder.
    """

    name: ClassVar[str] = "chain"
    columns: ClassVar[tuple[str, ...]] = ("answer",)
    alphabet: ClassVar[str] = "0123456789+-*=,#"

    steps: int = 3
    low: int = 1
    high: int = 9
    modulus: int = 10
    noise: float = 0.2
    skip: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("steps", 1 <= self.steps <= 50, "from 1 to 50")
        self._require("low", self.low >= 0, "at least 0")
        self._require("high", self.low <= self.high <= 999, f"from low={self.low} to 999")
        self._require("modulus", 2 <= self.modulus <= 100_000, "from 2 to 100000")
        self._require("noise", 0 <= self.noise < 1, "a probability below 1")
        self._require("skip", 0 <= self.skip <= 1, "a probability")

    @property
    def instructions(self) -> str:
        """Return the rules, and where the answer goes."""
        return (
            "Calculate from left to right: +, - and * have no precedence over each other. After each "
            f"operation, replace the result by its remainder modulo {self.modulus}.\n\n{PLACE}\n\n"
            "End with # and the final result, for instance #0."
        )

    @property
    def max_length(self) -> int:
        """The length of all steps written as equations, each with a comma or mark, and the answer."""
        start, operand, result = (len(str(n)) for n in (self.high, self.high, self.modulus - 1))
        equations = max(start, result) + (self.steps - 1) * result
        return equations + self.steps * (operand + result + 3) + result

    def draw(self, rng: Random) -> dict[str, Any]:
        """Draw a start value and `steps` operations; the answer is the final result."""
        start = rng.randint(self.low, self.high)
        operators = [rng.choice("+-*") for _ in range(self.steps)]
        operands = [rng.randint(self.low, self.high) for _ in range(self.steps)]
        row = {"start": start, "operators": operators, "operands": operands}
        written = "".join(f"{o}{n}" for o, n in zip(operators, operands, strict=True))
        answer = _follow(start, operators, operands, self.modulus)[-1]
        return {"prompt": f"{start}{written}=", **row, "answer": answer}

    def demonstrate(self, row: Row, rng: Random) -> str:
        """Return the working with some steps omitted, in either notation, and occasionally wrong."""
        value, working = row["start"], []
        for operator, operand in zip(row["operators"], row["operands"], strict=True):
            result = _apply(operator, value, operand) % self.modulus
            if rng.random() < self.noise:
                result = (result + rng.randrange(1, self.modulus)) % self.modulus
            if rng.random() >= self.skip:
                equation = f"{value}{operator}{operand}={result}"
                working.append(equation if rng.random() < 0.5 else str(result))
            value = result
        return f"{','.join(working)}{_MARK}{value}"

    def score(self, completion: str, row: Row) -> float:
        """Return 1 if the number after the last ``#`` is the answer, else 0."""
        return float(self.answer(completion) == str(row["answer"]))

    def gold(self, row: Row) -> str:
        """Return the complete working and the answer."""
        results = _follow(row["start"], row["operators"], row["operands"], self.modulus)
        return f"{','.join(map(str, results))}{_MARK}{row['answer']}"

    def wrong(self, row: Row) -> str:
        """Return the answer plus one (modulo `modulus`), without working."""
        return f"{_MARK}{(row['answer'] + 1) % self.modulus}"

    def answer(self, completion: str) -> str | None:
        """Return the number after the last ``#`` without leading zeros, or None."""
        _, mark, written = completion.rpartition(_MARK)
        digits = written.strip()
        if not mark or not (digits.isascii() and digits.isdigit()) or len(digits) > _MAX_DIGITS:
            return None
        return str(int(digits))


def _apply(operator: str, left: int, right: int) -> int:
    return {"+": left + right, "-": left - right, "*": left * right}[operator]


def _follow(start: int, operators: list[str], operands: list[int], modulus: int) -> list[int]:
    """Return the result after each step."""
    results, value = [], start
    for operator, operand in zip(operators, operands, strict=True):
        value = _apply(operator, value, operand) % modulus
        results.append(value)
    return results
