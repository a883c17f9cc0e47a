"""Whether two answers that have been read are equal, kind by kind; and one spelling of each answer."""

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

from aent.tasks.limits import Killable, LimitError, is_huge
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
from aent.tasks.math.latex import unspaced
from aent.tasks.math.reading import read, words_of

_FOREIGN = re.compile(r"[^ -~]|[#$\"`?@~]|\\$")  # what no expression in LaTeX contains

_BRACKET = re.compile(r"(?<!\\)[{}()\[\]]")

_CLOSES = {"{": "}", "(": ")", "[": "]"}

_MAX_DEPTH = 30

Form = Literal["literal", "closed", "any"]
"""What may be given for a number: one written out, also roots and powers of some, or any expression."""

PROCESS = Killable("aent.tasks.math.symbolic")
"""The grading process of this process."""

_LARGEST = Fraction(10) ** 300
"""What a ratio of units or a step of decimals may be: the former is written out, the latter a float."""

_FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}

_EXPONENT = re.compile(r"\^\s*(?:\{[^{}]*\}|.)")

_ARITHMETIC = re.compile(
    r"[+*/]|\\(?:cdot|times|div|pm|mp)(?![A-Za-z])|(?<=[^{(^,\s])\s*-|[)\]]\s*[\[(]|[0-9]\s*\(|\)\s*[0-9]"
)

_PROSE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}(?:[ ,]+[A-Za-z]+)*[ ,]+[A-Za-z]{2,}|[?]")


def is_same(gold: Answer, given: Answer, form: Form = "any") -> bool:
    """Whether a given answer equals the gold answer. `form` is what may be given for a number."""
    for kind, compare in _BY_KIND:
        if isinstance(gold, kind) or isinstance(given, kind):
            return compare(gold, given, form)
    return _same_scalar(gold, given, form)


def is_readable(answer: Answer) -> bool:
    """Whether all parts of an answer are numbers, words or expressions."""
    match answer:
        case Expression(latex):
            return _can_be_parsed(latex) and _is_expression(latex)
        case Several(_, items):
            return all(map(is_readable, items))
        case Matrix(_, rows):
            return all(is_readable(cell) for row in rows for cell in row)
        case Named(_, inside) | Measured(inside, _, _):
            return is_readable(inside)
        case Relation(_, sides):
            parts = [read(side, upright=True) for side in sides]
            return all(part is not None and is_readable(part) for part in parts)
    return True


def spelling(answer: Answer) -> str:
    """Return one spelling of an answer, which other ways to write it share. Units and names are left out."""
    match answer:
        case Number(value):
            return str(value)
        case Words(text):
            return text
        case Based(digits, base):
            return f"{digits}_{base}"
        case Measured(inside, _, _) | Named(_, inside, _):
            return spelling(inside)
        case Several(kind, items):
            spelled = [spelling(item) for item in items]
            inside = ",".join(spelled if answer.ordered else sorted(spelled))
            return f"{kind[0]}{inside}{kind[-1]}" if len(kind) == 2 else inside
        case Matrix(_, rows):
            return "[" + ",".join("[" + ",".join(map(spelling, row)) + "]" for row in rows) + "]"
        case Relation(signs, sides):
            return " ".join(part for pair in zip(sides, (*signs, ""), strict=True) for part in pair).strip()
        case Expression(latex):
            return _spelling(latex)


def _same_named(gold: Answer, given: Answer, form: Form) -> bool:
    if isinstance(gold, Named) and isinstance(given, Named):
        if gold.name == given.name or re.fullmatch("[A-Za-z]{3,}", given.name):
            return is_same(gold.answer, given.answer, form)
        if gold.equation is None or given.equation is None:
            return False
        return _same_relation(gold.equation, given.equation, form)
    if isinstance(gold, Named):
        if isinstance(given, Relation) and gold.equation is not None:
            return _same_relation(gold.equation, given, form)
        return is_same(gold.answer, given, form)
    assert isinstance(given, Named)
    if isinstance(gold, Relation):
        return given.equation is not None and _same_relation(gold, given.equation, form)
    return is_same(gold, given.answer, form)


def _same_measured(gold: Answer, given: Answer, form: Form) -> bool:
    """Compare two answers with units, or one with a unit and one without."""
    if not (isinstance(gold, Measured) and isinstance(given, Measured)):
        bare = [answer.answer if isinstance(answer, Measured) else answer for answer in (gold, given)]
        return is_same(bare[0], bare[1], form)
    ratio = _unit_ratio(gold, given)
    return ratio is not None and is_same(_scaled(gold.answer, ratio), given.answer, form)


def _unit_ratio(gold: Measured, given: Measured) -> Fraction | None:
    """Return how many of the given unit are one of the gold unit; None if they measure different things."""
    if gold.unit is not None and given.unit is not None:
        ratio = gold.unit.size / given.unit.size
        sane = max(ratio.numerator, ratio.denominator) <= _LARGEST
        return ratio if sane and gold.unit.powers == given.unit.powers else None
    nested = gold.words <= given.words or given.words <= gold.words  # "apples", "red apples"
    return Fraction(1) if nested else None


def _scaled(answer: Answer, ratio: Fraction) -> Answer:
    if isinstance(answer, Number):
        return Number(answer.value * ratio, answer.step * ratio, answer.percent)
    if isinstance(answer, Expression) and ratio != 1:
        return Expression(rf"\frac{{{ratio.numerator}}}{{{ratio.denominator}}} \cdot ({answer.latex})")
    return answer


def _same_relation(gold: Answer, given: Answer, form: Form) -> bool:
    if not isinstance(given, Relation):  # 4 is not "at most 4"
        return False
    if not isinstance(gold, Relation):
        return _ends_in(gold, given, form)
    if len(gold.signs) != 1 or len(given.signs) != 1:
        pairs = zip(gold.sides, given.sides, strict=False)
        return gold.signs == given.signs and all(_same_side(one, other) for one, other in pairs)
    sign, other = gold.signs[0], given.signs[0]
    if sign in _FLIPPED or sign in ("=", r"\ne"):
        ratio = _ratio_sign(_difference(gold), _difference(given))
        same = other == sign if sign not in _FLIPPED else other == (sign if ratio == 1 else _FLIPPED[sign])
        return bool(ratio) and same
    return sign == other and all(map(_same_side, gold.sides, given.sides))


def _ends_in(gold: Answer, chain: Relation, form: Form) -> bool:
    """Whether a chain of equal expressions ends in the gold answer: ``2 + 3 = 5`` but not ``5 = 4``."""
    if set(chain.signs) != {"="} or not all(chain.sides):
        return False
    sides = [read(side) for side in chain.sides]
    last = sides[-1]
    if last is None or not is_same(gold, last, form):
        return False
    return all(side is not None and is_same(last, side) for side in sides[:-1])


def _difference(relation: Relation) -> str:
    return f"({relation.sides[0] or 0}) - ({relation.sides[1] or 0})"


def _same_side(gold: str, given: str) -> bool:
    sides = read(gold, upright=True), read(given, upright=True)
    return gold == given or (sides[0] is not None and sides[1] is not None and is_same(sides[0], sides[1]))


def _same_several(gold: Answer, given: Answer, form: Form) -> bool:
    if not (isinstance(gold, Several) and isinstance(given, Several)):
        one, other = (_only(answer) for answer in (gold, given))
        return one is not None and other is not None and is_same(one, other, form)
    if len(gold.items) != len(given.items):
        return False
    kinds = {gold.kind, given.kind}
    if kinds <= {"list", "{}"} or kinds == {"union"} or (gold.kind, given.kind) == ("list", "[]"):
        return _same_set(gold.items, list(given.items), form)
    if len(kinds) == 1 or kinds == {"list", "()"}:
        return all(is_same(one, other, form) for one, other in zip(gold.items, given.items, strict=True))
    return False


def _only(answer: Answer) -> Answer | None:
    """Return the only answer in a set of one, or an answer that is not several."""
    if not isinstance(answer, Several):
        return answer
    return answer.items[0] if len(answer.items) == 1 else None


def _same_set(gold: Sequence[Answer], given: list[Answer], form: Form) -> bool:
    """Whether each gold item equals another given item."""
    for due in gold:
        match = next((index for index, item in enumerate(given) if is_same(due, item, form)), None)
        if match is None:
            return False
        del given[match]
    return True


def _same_matrix(gold: Answer, given: Answer, form: Form) -> bool:
    if not (isinstance(gold, Matrix) and isinstance(given, Matrix)):
        return False
    shapes = [[len(row) for row in matrix.rows] for matrix in (gold, given)]
    if shapes[0] != shapes[1] or ("v" in gold.kind.lower()) != ("v" in given.kind.lower()):
        return False
    cells = ([cell for row in matrix.rows for cell in row] for matrix in (gold, given))
    return all(is_same(one, other, form) for one, other in zip(*cells, strict=True))


def _same_based(gold: Answer, given: Answer, form: Form) -> bool:
    """Compare numbers in a base. The question names the base, so an answer may leave it out."""
    if isinstance(gold, Based) and isinstance(given, Based):
        return gold == given
    if isinstance(gold, Based):
        if isinstance(given, Number):
            return given.value.denominator == 1 and str(given.value) == gold.digits
        return isinstance(given, Expression) and unspaced(given.latex).upper() == gold.digits
    if not isinstance(given, Based) or given.base != 10 or not given.digits.isdigit():
        return False
    return is_same(gold, Number(Fraction(given.digits)), form)


def _same_words(gold: Answer, given: Answer, form: Form) -> bool:
    texts = [_letters(answer) for answer in (gold, given)]
    return bool(texts[0]) and texts[0] == texts[1]


def _letters(answer: Answer) -> str:
    """Return the letters of words, or of an expression that is nothing but letters."""
    if isinstance(answer, Words):
        return answer.text.replace(" ", "")
    bare = isinstance(answer, Expression) and re.fullmatch(r"[\\A-Za-z0-9{}().,' ]+", answer.latex)
    return words_of(answer.latex).replace(" ", "") if bare and isinstance(answer, Expression) else ""


def _same_scalar(gold: Answer, given: Answer, form: Form) -> bool:
    if isinstance(gold, Number) and isinstance(given, Number):
        return _same_number(gold, given, form)
    assert isinstance(gold, Number | Expression)
    assert isinstance(given, Number | Expression)
    if isinstance(gold, Number) and isinstance(given, Expression) and not _has_form(given.latex, form):
        return False
    one, other = _latex(gold), _latex(given)
    if unspaced(one) == unspaced(other):
        return True
    if not (_can_be_parsed(one) and _can_be_parsed(other)):
        return False
    step = gold.step if isinstance(gold, Number) else given.step if isinstance(given, Number) else 0
    return _is_equal(one, other, float(min(step, _LARGEST)))


def _has_form(latex: str, form: Form) -> bool:
    """Whether an expression may be given for a number: never, without arithmetic left to do, or always."""
    return form == "any" or (form == "closed" and not _ARITHMETIC.search(_EXPONENT.sub("", latex)))


def _same_number(gold: Number, given: Number, form: Form) -> bool:
    if given.divided and form != "any" and (form == "literal" or given.divided == "slash"):
        return False
    due, value = gold.value, given.value
    if due == value:
        return True
    if gold.percent != given.percent:  # 50 %, 50 and 0.5
        return due * (Fraction(1, 100) if gold.percent else 100) == value
    step = given.step if _is_endless(due) else gold.step if _is_endless(value) else 0
    return abs(due - value) < step


def _is_endless(value: Fraction) -> bool:
    """Whether the decimal expansion of a fraction does not end."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest != 1


def _latex(answer: Number | Expression) -> str:
    if isinstance(answer, Expression):
        return answer.latex
    value = answer.value * (Fraction(1, 100) if answer.percent else 1)
    whole = value.denominator == 1
    return str(value) if whole else rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _can_be_parsed(latex: str) -> bool:
    """Whether a text may be an expression of bearable size: no prose, other characters or open brackets."""
    if _PROSE.search(latex) or _FOREIGN.search(latex) or is_huge(latex):
        return False
    open_brackets = ""
    for match in _BRACKET.finditer(latex):
        if match[0] in _CLOSES:
            open_brackets += match[0]
        elif open_brackets and match[0] == _CLOSES[open_brackets[-1]]:
            open_brackets = open_brackets[:-1]
        else:
            return False
        if len(open_brackets) > _MAX_DEPTH:
            return False
    return not open_brackets


@lru_cache(maxsize=20_000)
def _is_expression(latex: str) -> bool:
    return bool(_call("is_readable", latex))


@lru_cache(maxsize=20_000)
def _is_equal(gold: str, given: str, tolerance: float) -> bool:
    return bool(_call("is_equal", gold, given, tolerance))


@lru_cache(maxsize=20_000)
def _spelling(latex: str) -> str:
    if not _can_be_parsed(latex):
        return latex
    return _call("spelling", latex) or latex


@lru_cache(maxsize=20_000)
def _ratio_sign(gold: str, given: str) -> int:
    return (_call("ratio_sign", gold, given) or 0) if _can_be_parsed(gold) and _can_be_parsed(given) else 0


def _call(function: str, *arguments: object) -> Any:
    """Return the result of the grading process; None also if the call alone exceeds the limits.

    Raises:
        LimitError: if what was left of the `aent.tasks.limits.budget` did not suffice. Not to be cached.
    """
    try:
        return PROCESS.call(function, *arguments)
    except LimitError as error:
        if error.whole:
            return None
        raise


_BY_KIND = (
    (Named, _same_named),
    (Measured, _same_measured),
    (Relation, _same_relation),
    (Several, _same_several),
    (Matrix, _same_matrix),
    (Based, _same_based),
    (Words, _same_words),
)
