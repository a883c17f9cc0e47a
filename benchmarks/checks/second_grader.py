r"""A second grader of mathematical answers that shares no code with the first.

It reads a small part of LaTeX itself and compares numerically: both answers are worked out at random
values of their variables. Units must be the same words. Nothing is simplified and nothing is solved, so
it knows fewer ways of writing one thing than math-verify, and misses none of the ways of being wrong.
"""

import cmath
import random
import re

POINTS = 3
CLOSE = 1e-9

_SPACE = re.compile(r"\\[,;:! ]|~|\\?\$|\\displaystyle|\\left|\\right|\\q?quad")
_TOKEN = re.compile(r"\s*([0-9]+\.?[0-9]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+|\\[A-Za-z]+|\\.|[^\s])")
_UNIT = re.compile(r"\\(?:text|mathrm|mbox)\s*\{([^{}]*)\}\s*(\^\{?[0-9]\}?)?\s*$|\^\{?\\(circ)\}?$")
_MATRIX = re.compile(r"\\begin\{[pb]matrix\}(.*)\\end\{[pb]matrix\}", re.DOTALL)
_THOUSANDS = re.compile(r"(?<=[0-9])(?:,|\{,\}|,?\\[!,]|,\\! )+(?=[0-9]{3}(?![0-9]))")
_UNITS = {"degrees": "deg", "circ": "deg", "inches": "inch", "inches^2": "inch^2", "cents": "cent"}
_FUNCTIONS = {
    **{"sin": cmath.sin, "cos": cmath.cos, "tan": cmath.tan, "arcsin": cmath.asin, "arccos": cmath.acos},
    **{"arctan": cmath.atan, "exp": cmath.exp, "ln": cmath.log, "log": cmath.log10},
}
_ACCENTS = ("dot", "ddot", "text", "mathcal")
_CONSTANTS = {"pi": cmath.pi, "e": cmath.e, "i": 1j, "infty": 1e300}


class UnreadableError(Exception):
    """The text is none of what `Reader` knows."""


def agrees(answer: str, gold: str) -> bool:
    """Whether two answers (what stands in the box) are the same."""
    matrices = _MATRIX.fullmatch(answer.strip()), _MATRIX.fullmatch(gold.strip())
    if any(matrices):
        return all(matrices) and _same_cells(*(_cells(match[1]) for match in matrices))
    (answer, unit), (gold, due) = _without_unit(answer), _without_unit(gold)
    if unit and due and unit != due:
        return False
    try:
        return _same(answer, gold)
    except (UnreadableError, ArithmeticError, ValueError):
        return re.sub(r"[\s{}]", "", answer) == re.sub(r"[\s{}]", "", gold)


def _without_unit(text: str) -> tuple[str, str]:
    text = _SPACE.sub(" ", _THOUSANDS.sub("", text)).strip()
    match = _UNIT.search(text)
    if not match or not text[: match.start()].strip():
        return text, ""
    unit = " ".join((match[3] or match[1] + re.sub(r"[{}]", "", match[2] or "")).split())
    return text[: match.start()], _UNITS.get(unit, unit)


def _cells(inside: str) -> list[list[str]]:
    return [row.split("&") for row in inside.split("\\\\")]


def _same_cells(one: list[list[str]], other: list[list[str]]) -> bool:
    if [len(row) for row in one] != [len(row) for row in other]:
        return False
    pairs = zip([cell for row in one for cell in row], [cell for row in other for cell in row], strict=True)
    return all(agrees(cell, due) for cell, due in pairs)


def _same(answer: str, gold: str) -> bool:
    if "\\cup" in gold or "\\cup" in answer:
        given, due = answer.split("\\cup"), gold.split("\\cup")
        return len(given) == len(due) and all(
            any(_same(one.strip(), two.strip()) for one in given) for two in due
        )
    given, due = _parts(answer), _parts(gold)
    if len(given) != len(due) or (len(due) > 1 and _brackets(answer) != _brackets(gold)):
        return False
    if _brackets(gold):
        return all(_equal(one, other) for one, other in zip(given, due, strict=True))
    return all(any(_equal(one, other) for one in given) for other in due)  # a set: in any order


def _brackets(text: str) -> str:
    """Return the two brackets around a pair or an interval, or nothing."""
    inside = text[1:-1]
    grouped = text[:1] in "([" and text[-1:] in ")]" and "," in inside
    return text[0] + text[-1] if text and grouped else ""


def _parts(text: str) -> list[str]:
    """Split at the commas that stand in no bracket and separate no thousands."""
    text = re.sub(r"(?<=[0-9])(?:,|\{,\})(?=[0-9]{3}(?![0-9]))", "", text)
    text = text[1:-1] if _brackets(text) else text
    parts, depth = [""], 0
    for letter in text:
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _equal(one: str, other: str) -> bool:
    values = [(_difference(one, point), _difference(other, point)) for point in range(POINTS)]
    if "=" not in one or "=" not in other:
        return all(_close(a, b) for a, b in values)
    ratio = values[0][0] / values[0][1]  # an equation may be multiplied by a number
    return all(_close(a, ratio * b) for a, b in values)


def _difference(text: str, point: int) -> complex:
    """Return an expression's value, or left minus right of an equation (right, where left is a name)."""
    left, equals, right = text.partition("=")
    if not equals:
        return Reader(text, point).value()
    return Reader(left, point).value() - Reader(right, point).value()


def _close(one: complex, other: complex) -> bool:
    return abs(one - other) <= CLOSE * max(abs(one), abs(other))


class Reader:
    """A recursive-descent reader: sums of products of powers of numbers, names and functions."""

    def __init__(self, text: str, point: int):
        self.tokens = _TOKEN.findall(text)
        self.position, self.point = 0, point

    def value(self) -> complex:
        """Return the value of the whole text.

        Raises:
            UnreadableError: where something else stands in it.
        """
        value = self._sum()
        if self._next():
            raise UnreadableError(self._next())
        return value

    def _next(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def _take(self, *wanted: str) -> str:
        token = self._next()
        if not token or (wanted and token not in wanted):
            raise UnreadableError(token)
        self.position += 1
        return token

    def _sum(self) -> complex:
        value = self._product()
        while self._next() in ("+", "-") and self._next():
            value += self._product() if self._take() == "+" else -self._product()
        return value

    def _product(self) -> complex:
        value = self._power()
        while self._next() and self._next() not in "+-)]}":
            if self._next() == "/":
                self._take()
                value /= self._power()
            else:
                if self._next() in ("*", "\\cdot", "\\times"):
                    self._take()
                value *= self._power()
        return value

    def _power(self) -> complex:
        if self._next() in ("-", "+") and self._next():
            return -self._power() if self._take() == "-" else self._power()
        value = self._base()
        if self._next() == "^":
            self._take()
            value **= self._argument()
        return value

    def _base(self) -> complex:
        token = self._take()
        if token[0].isdigit() or token[0] == ".":
            return float(token)
        if token in ("(", "[", "{"):
            value = self._sum()
            self._take({"(": ")", "[": "]", "{": "}"}[token])
            return value
        name = token.lstrip("\\")
        if name in ("frac", "dfrac", "tfrac"):
            return self._digit() / self._digit()
        if name == "sqrt":
            return cmath.sqrt(self._digit())
        if token != name and name in _FUNCTIONS:
            return self._function(name)
        if not name.isalpha():
            raise UnreadableError(token)
        return self._named(name)

    def _argument(self) -> complex:
        """One bracket or one sign, as LaTeX takes it; a minus may stand before it."""
        return self._power() if self._next() in ("-", "+") else self._base()

    def _digit(self) -> complex:
        """One bracket or one digit, as LaTeX takes it."""
        digits = self._next()
        if digits.isdigit():
            self.tokens[self.position : self.position + 1] = list(digits)
        return self._argument()

    def _function(self, name: str) -> complex:
        power = 1.0 + 0j
        if self._next() == "^":
            self._take()
            power = self._argument()
        inside = self._base()
        while self._next()[:1].isalnum() or self._next().startswith("\\"):  # ln 2 x: all that follows
            if self.tokens[self.position - 1] in (")", "}") or self._next() in ("\\cdot", "\\times"):
                break
            inside *= self._power()
        return _FUNCTIONS[name](inside) ** power

    def _named(self, name: str) -> complex:
        while self._next() in ("_", "{") and (
            self._next() == "_" or name in ("dot", "ddot", "text", "mathcal")
        ):
            name += self._group()
        if self._next() == "^" and "\\prime" in self.tokens[self.position : self.position + 3]:
            name += self._group()
        if self.tokens[self.position : self.position + 3] == ["(", "0", ")"]:  # a value at 0, not 0 times it
            self.position += 3
            name += "(0)"
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        return random.Random(f"{name} {self.point}").uniform(0.5, 1.5)

    def _group(self) -> str:
        """Return the letters of a subscript, an accent or a prime."""
        letters = self._take()
        if letters in ("_", "^"):
            letters += self._take()
        while letters.count("{") > letters.count("}"):
            letters += self._take()
        return letters.replace("{", "").replace("}", "")
