"""Integer expressions with + - * and brackets: parsed as data, never evaluated as code.

    sum     = product (("+" | "-") product)*
    product = factor ("*" factor)*
    factor  = number | "(" sum ")"

Length, depth and the number of digits are bounded, which bounds time and memory.
"""

import re
from dataclasses import dataclass

MAX_LENGTH = 200

MAX_DEPTH = 20

MAX_DIGITS = 6

_TOKEN = re.compile(r"\s*([0-9]+|[-+*()])\s*", re.ASCII)


class _MalformedError(Exception):
    pass


@dataclass(frozen=True)
class Expression:
    """A parsed expression: its value, and its numbers from left to right."""

    value: int
    numbers: tuple[int, ...]


def parse(text: str) -> Expression | None:
    """Parse an expression; return None if the text is not one or exceeds the bounds."""
    try:
        return _Parser(_tokens(text)).whole()
    except _MalformedError:
        return None


def _tokens(text: str) -> list[str]:
    if len(text) > MAX_LENGTH:
        raise _MalformedError
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _MalformedError
        tokens.append(match[1])
        position = match.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[str]):
        self.tokens = tokens
        self.position = 0
        self.numbers: list[int] = []

    def whole(self) -> Expression:
        value = self.sum(depth=0)
        if self.position < len(self.tokens):
            raise _MalformedError
        return Expression(value, tuple(self.numbers))

    def sum(self, depth: int) -> int:
        value = self.product(depth)
        while (sign := self.take("+", "-")) is not None:
            term = self.product(depth)
            value = value + term if sign == "+" else value - term
        return value

    def product(self, depth: int) -> int:
        value = self.factor(depth)
        while self.take("*") is not None:
            value *= self.factor(depth)
        return value

    def factor(self, depth: int) -> int:
        if self.take("(") is None:
            return self.number()
        if depth == MAX_DEPTH:
            raise _MalformedError
        value = self.sum(depth + 1)
        if self.take(")") is None:
            raise _MalformedError
        return value

    def number(self) -> int:
        token = self.tokens[self.position] if self.position < len(self.tokens) else ""
        if not token.isdigit() or len(token) > MAX_DIGITS:
            raise _MalformedError
        self.position += 1
        self.numbers.append(int(token))
        return self.numbers[-1]

    def take(self, *wanted: str) -> str | None:
        if self.position < len(self.tokens) and self.tokens[self.position] in wanted:
            self.position += 1
            return self.tokens[self.position - 1]
        return None
