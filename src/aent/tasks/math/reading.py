r"""Reads what kind of answer a text is (`kinds`).

The kinds are tried from the outside in; what is none of them is left as an `Expression`.
"""

import re
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

from aent.tasks.math.kinds import (
    Answer,
    Based,
    Expression,
    Matrix,
    Measured,
    Named,
    Number,
    Relation,
    Several,
    Words,
)
from aent.tasks.math.latex import ROW, closing_bracket, plain, split_outside
from aent.tasks.math.quantities import number_of, split_unit, unit_of

MAX_LENGTH = 1000
"""Characters of the longest answer that is read; a longer one is only compared as text."""

_MAX_DEPTH = 8

_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,15}", re.ASCII)

_SIGN = re.compile(r"\\(?:le|ge|ne|in|equiv|subset|subseteq|sim)(?![A-Za-z])|[=<>]")

_COMMA = re.compile(r"[,;]")

_CUP = re.compile(r"\\cup(?![A-Za-z])")

_COLON = re.compile(r":")

_NAME = re.compile(
    r"(?:\\[A-Za-z]+\s*)?\{?\s*[A-Za-z]?\s*\}?(?:_\s*(?:[A-Za-z0-9]|\{[^{}]*\}))?'*\s*(?:\(\s*[A-Za-z](?:\s*,\s*[A-Za-z])*\s*\))?"
    r"|\\text\s*\{[^{}]*\}|\\angle\s*\w+|m\\angle\s*\w+|[A-Z]{2,}|\([a-z](?:\s*,\s*[a-z])+\)|\|?[A-Za-z]\|?"
    r"|[A-Za-z][A-Za-z ]{2,}"
)

_BASE = re.compile(
    r"\(?\s*([0-9A-Z]+)\s*\)?\s*_\s*\{?\s*(?:\\text\s*\{)?\s*([0-9]{1,2}|two|three|four|five|six|seven|eight|nine"
    r"|ten|twelve|sixteen)\s*\}{0,2}"
)

_BASES = {
    **{"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10},
    **{"twelve": 12, "sixteen": 16},
}

_FRACTION = re.compile(
    r"([-+]?)\s*(?:([0-9]+)\s*)?\\frac\s*\{\s*([-+]?[0-9]+)\s*\}\s*\{\s*([-+]?[0-9]+)\s*\}"
    r"|([-+]?)\s*(?:([0-9]+)[\s-]+)?([0-9]+)\s*/\s*([0-9]+)"
)

_REPEATING = re.compile(
    r"([-+]?)\s*([0-9]{0,30})\.([0-9]{0,30})\\(?:overline|bar|dot)\s*\{?\s*([0-9]{1,30})\s*\}?"
)

_MATRIX = re.compile(
    r"\\begin\s*\{([a-zA-Z]*matrix|array)\}(?:\s*\{[lcr|\s]*\})?(.*)\\end\s*\{([a-zA-Z]*matrix|array)\}",
    re.DOTALL,
)

_WORDS = re.compile(r"[A-Za-z][A-Za-z]+(?:[ '-]+[A-Za-z]+){0,6}")

_TEXT = re.compile(r"(?:\s*\\text\s*\{[^{}]*\}\s*)+|\(\s*\\?[A-Z]\s*\)|(?:\\text\s*\{\s*)?\(?[A-Z]\)\}?")

_UNIT_TAIL = re.compile(r"(?:\s*\\text\s*\{[^{}]*\}(?:\s*\^\s*\{?\s*-?[0-9]\s*\}?)?\s*/?)+$")

_PLAIN_TAIL = re.compile(
    r"(?<=[0-9}])\s+([A-Za-z][A-Za-z.]{2,}|(?i:[ap]\.?m))(?:[ /][A-Za-z.]+){0,4}$"
    r"|(?<=[0-9])\s?(?i:[ap]\.?m\.?)$"
)

_CURRENCY = {"\\$": "dollar", "€": "euro", "£": "sterling", "¥": "yen"}

_PLURAL = re.compile(r"(?:(?<=[sxz])|(?<=ch)|(?<=sh))es$|(?<=[a-z][a-rt-z])s$")

_IDLE = frozenset(
    re.findall(
        "[a-z]+", "a an the of to in on at is are per each about them it total all units unit and or more"
    )
)


@lru_cache(maxsize=20_000)
def read(answer: str, *, upright: bool = False) -> Answer | None:
    r"""Return what kind of answer a text is, or None if it is empty or too long.

    Letters after a number are a unit (``5 m``), unless `upright`: then only what is typeset as one
    (``\text``) or is a word.
    """
    if len(answer) > MAX_LENGTH:
        return None
    if _PLAIN_NUMBER.fullmatch(answer):
        return Number(Fraction(answer))
    text = plain(answer)
    return _read(text, upright, 0) if text and text not in ".,;:" else None


def _read(text: str, upright: bool, depth: int) -> Answer:
    if depth > _MAX_DEPTH or not text:
        return Expression(text)
    for reader in _READERS:
        answer = reader(text, upright, depth + 1)
        if answer is not None:
            return answer
    return Expression(text)


def words_of(text: str) -> str:
    r"""Return the letters and digits of a text in lower case: ``(C)``, ``\text{C}`` and ``c`` are one."""
    text = re.sub(r"\\(?:text|begin|end)(?![A-Za-z])", " ", text)
    return " ".join(re.findall(r"[a-z0-9]+", text.lower().replace("'", "").replace(".", "")))


def _words(text: str, upright: bool, depth: int) -> Answer | None:
    bare = _WORDS.fullmatch(text)
    if bare and (len(text) > 3 or text.isupper()):
        return Words(words_of(text))
    return Words(words_of(text)) if _TEXT.fullmatch(text) and words_of(text) else None


def _matrix(text: str, upright: bool, depth: int) -> Answer | None:
    match = _MATRIX.fullmatch(text)
    if not match or match[1] != match[3] or r"\begin" in match[2]:
        return None
    rows = [row for row in match[2].split(ROW) if row.strip()]
    cells = [[cell.strip() for cell in row.split("&")] for row in rows]
    return Matrix(match[1], tuple(tuple(_read(cell, upright, depth) for cell in row) for row in cells))


def _union(text: str, upright: bool, depth: int) -> Answer | None:
    return _several("union", text, _CUP, upright, depth)


def _list(text: str, upright: bool, depth: int) -> Answer | None:
    return _several("list", text, _COMMA, upright, depth)


def _ratio(text: str, upright: bool, depth: int) -> Answer | None:
    return _several("ratio", text, _COLON, upright, depth)


def _several(kind: str, text: str, separator: re.Pattern[str], upright: bool, depth: int) -> Answer | None:
    parts = [part for part in split_outside(text, separator)[::2] if part]
    if len(parts) < 2:
        return None
    items: list[Answer] = []
    for part in parts:
        item = _read(part, upright, depth)
        items += item.items if isinstance(item, Several) and item.kind == kind else [item]
    if kind == "list":
        items = _with_names(items)
        if all(isinstance(item, Named) and _is_interval(item.answer) for item in items):
            kind = "union"
    return Several(kind, tuple(items))


def _with_names(items: list[Answer]) -> list[Answer]:
    """Give the name of ``x = 1, 2`` to what follows it."""
    first = items[0]
    if isinstance(first, Named) and not any(isinstance(item, Named | Relation) for item in items[1:]):
        return [first.answer, *items[1:]]
    return items


def _is_interval(answer: Answer) -> bool:
    return isinstance(answer, Several) and (answer.kind == "union" or answer.kind in ("()", "[]", "(]", "[)"))


def _relation(text: str, upright: bool, depth: int) -> Answer | None:
    parts = split_outside(text, _SIGN)
    signs, sides = tuple(parts[1::2]), tuple(parts[::2])
    if not signs:
        return None
    relation = Relation(signs, sides)
    if set(signs) == {"="}:
        return _equation(relation, upright, depth)
    if signs == (r"\in",) and _NAME.fullmatch(sides[0]) and sides[1]:
        return Named(_name(sides[0]), _read(sides[1], upright, depth))
    return _inequality(relation, depth) or relation


def _equation(relation: Relation, upright: bool, depth: int) -> Answer | None:
    """Read ``x = 5``, ``5 = x`` and ``x = 2 + 3 = 5``."""
    sides = relation.sides
    if len(sides) == 2 and _NAME.fullmatch(sides[1]) and not _NAME.fullmatch(sides[0]):
        sides = sides[::-1]
    if not all(sides) or not _NAME.fullmatch(sides[0]):
        return relation
    rest = sides[1:]
    value = _read(rest[0], upright, depth) if len(rest) == 1 else Relation(("=",) * (len(rest) - 1), rest)
    return Named(_name(sides[0]), value, relation if len(sides) == 2 else None)


def _name(text: str) -> str:
    return re.sub(r"[\s{}]|\\text", "", text)


def _inequality(relation: Relation, depth: int) -> Answer | None:
    r"""Read ``x < 3``, ``3 \ge x`` and ``1 < x \le 2`` as intervals, ``x \ne 2`` as a union of two."""
    signs, sides = relation.signs, relation.sides
    if not all(sides) or not set(signs) <= {"<", ">", r"\le", r"\ge", r"\ne"}:
        return None
    places = [i for i, side in enumerate(sides) if re.fullmatch(r"[A-Za-z]|\\[a-z]+", side)]
    if len(places) != 1 or (len(sides), places[0]) not in ((2, 0), (2, 1), (3, 1)):
        return None
    place, low, high = places[0], (Expression(r"-\infty"), False), (Expression(r"\infty"), False)
    for index, sign in enumerate(signs):
        bound = _read(sides[index + 1] if index == place else sides[index], True, depth)
        if sign == r"\ne":
            return Named(_name(sides[place]), _all_but(bound)) if len(signs) == 1 else None
        if (sign in (">", r"\ge")) == (index == place):
            low = (bound, sign in (r"\le", r"\ge"))
        else:
            high = (bound, sign in (r"\le", r"\ge"))
    kind = ("[" if low[1] else "(") + ("]" if high[1] else ")")
    return Named(_name(sides[place]), Several(kind, (low[0], high[0])))


def _all_but(bound: Answer) -> Answer:
    below = Several("()", (Expression(r"-\infty"), bound))
    return Several("union", (below, Several("()", (bound, Expression(r"\infty")))))


def _signs(text: str, upright: bool, depth: int) -> Answer | None:
    r"""Read ``a \pm b`` as two answers."""
    start = 1 if text.startswith("\\{") else 0
    enclosed = text[start] in "([{" and closing_bracket(text, start) == len(text) - 1
    if enclosed or len(re.findall(r"\\pm(?![A-Za-z])", text)) != 1:
        return None
    both = (re.sub(r"\\pm\s*", sign, text) for sign in ("+", "-"))
    return Several("list", tuple(_read(one.lstrip("+").strip(), upright, depth) for one in both))


_PAIRS = (("\\{", "\\}"), ("\\langle", "\\rangle"), ("(", ")"), ("[", "]"), ("(", "]"), ("[", ")"))


def _bracketed(text: str, upright: bool, depth: int) -> Answer | None:
    """Read a pair, an interval or a set; brackets around a single answer mean nothing."""
    for opening, closing in _PAIRS:
        if not (text.startswith(opening) and text.endswith(closing)) or len(text) <= len(opening) + len(
            closing
        ):
            continue
        if opening != r"\langle" and closing_bracket(text, len(opening) - 1) != len(text) - 1:
            continue
        kind = {"\\{": "{}", "\\langle": "()"}.get(opening, opening + closing)
        inside = text[len(opening) : -len(closing)].strip()
        items = _list(inside, upright, depth) or _signs(inside, upright, depth)
        if isinstance(items, Several):
            return Several(kind, items.items)
        if kind == "{}":
            return Several(kind, (_read(inside, upright, depth),))
        return _read(inside, upright, depth) if kind == "()" and inside else None
    return None


def _based(text: str, upright: bool, depth: int) -> Answer | None:
    match = _BASE.fullmatch(text)
    if match is None or not match[1][0].isdigit():
        return None
    return Based(match[1].lstrip("0") or "0", _BASES.get(match[2]) or int(match[2]))


def _number(text: str, upright: bool, depth: int) -> Answer | None:
    if text.endswith("\\%"):
        number = _number(text[:-2].strip(), upright, depth)
        return replace(number, percent=True) if isinstance(number, Number) else None
    value = number_of(text)
    if value is not None:
        return Number(value, _step(text))
    repeating = _REPEATING.fullmatch(text)
    if repeating:
        return Number(_repeating(*repeating.groups()))
    match = _FRACTION.fullmatch(text)
    if match is None:
        return None
    latex = match[3] is not None
    sign, whole, above, below = match.groups()[:4] if latex else match.groups()[4:]
    if int(below) == 0 or len(text) > 200:
        return None
    value = int(whole or 0) + Fraction(int(above), int(below))
    divided = whole is None and value.denominator == 1 and int(below) != 1
    kind = ("frac" if latex else "slash") if divided else ""
    return Number(-value if sign == "-" else value, divided=kind)


def _repeating(sign: str, whole: str, once: str, again: str) -> Fraction:
    r"""Return the value of ``0.1\overline{6}``."""
    start, end = int((whole + once) or 0), int(whole + once + again)
    value = Fraction(end - start, 10 ** len(once) * (10 ** len(again) - 1))
    return -value if sign == "-" else value


def _step(text: str) -> Fraction:
    """Return one unit in the last place of a decimal with at least six digits, else 0."""
    match = re.match(r"[-+]?\s*([0-9]*)\.([0-9]+)", text)
    if match is None or len((match[1] + match[2]).lstrip("0")) < 6:
        return Fraction(0)
    power = re.search(r"10\s*\^\s*\{?\s*([-+]?[0-9]+)", text[match.end() :])
    return Fraction(10) ** (int(power[1] if power else 0) - len(match[2]))


def _priced(text: str, upright: bool, depth: int) -> Answer | None:
    """Read a currency before an answer."""
    for mark, name in _CURRENCY.items():
        bare = text.replace(mark, "", 1).strip()
        if mark in text[: len(mark) + 1] and bare:
            return Measured(_read(bare, upright, depth), unit_of(name), frozenset([name]))
    return None


def _measured(text: str, upright: bool, depth: int) -> Answer | None:
    """Read an answer with a unit, or with other words, after it."""
    body, unit = split_unit(text, upright=upright)
    if unit is not None:
        return Measured(_read(body.strip(), upright, depth), unit, _content(unit.text))
    tail = _UNIT_TAIL.search(text) or _PLAIN_TAIL.search(text)
    body = text[: tail.start()].strip() if tail else ""
    if tail is None or not body:
        return None
    words = words_of(tail[0])
    return Measured(_read(body, upright, depth), unit_of(words), _content(words))


def _content(words: str) -> frozenset[str]:
    """Return the words of a unit that say something, in the singular."""
    singular = (
        re.sub(r"(?:(?<=[sxz])|(?<=ch)|(?<=sh))es$|(?<=[a-z][a-rt-z])s$", "", word) for word in words.split()
    )
    return frozenset(word for word in singular if word not in _IDLE)


_READERS = (
    _words,
    _matrix,
    _union,
    _list,
    _relation,
    _signs,
    _bracketed,
    _ratio,
    _based,
    _priced,
    _number,
    _measured,
)
