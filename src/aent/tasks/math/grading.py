r"""Whether the answer of a text equals a gold answer.

In order: locate the answer in the text (`boxed`), rewrite it to one spelling of LaTeX (`latex`), read what
kind it is (`reading`), and compare by kind (`comparing`). Only expressions need sympy, which runs in a
process with limits (`aent.tasks.limits`, `symbolic`).
"""

from typing import Literal

from aent.tasks.limits import LimitError, budget
from aent.tasks.math import comparing
from aent.tasks.math.boxed import Place, locate
from aent.tasks.math.comparing import Form, is_same
from aent.tasks.math.kinds import Answer, Expression, Measured, Named, Number, Several, Words
from aent.tasks.math.latex import squeezed
from aent.tasks.math.reading import MAX_LENGTH, read

Kind = Literal["number", "expression", "any"]
"""What a task asks for."""

_FORMS: dict[Kind | None, Form] = {"number": "literal", None: "closed", "expression": "any", "any": "any"}

_MISSING = frozenset(("nan", "none", "null", "n/a", "inf", "-inf", "infinity nan"))


def is_right(
    text: str,
    gold: str,
    *,
    question: str = "",
    kind: Kind | None = None,
    thoughts: bool = False,
    truncated: bool = False,
) -> bool:
    r"""Whether the answer of a text equals the gold answer.

    Numbers are compared exactly, in any way of writing them. Where both answers have a unit, the units
    must agree, or the number must be converted (1.6 cm is 16 mm, not 1.6 m).

    For a number, ``kind="number"`` takes a number that is written out: ``21``, ``2/3``, ``1.5e-3``, not
    ``5 + 7 + 9`` or ``2^{10}``. Without `kind`, a power, a root, a factorial, ``\lfloor 21.5 \rfloor``
    or an integral of that value passes too, and anything equal passes for an expression. ``expression`` and
    ``any`` take anything equal. An expression that stands in the question earns nothing unless the gold
    answer stands there too.

    Answers in ``<think>`` sections count only with `thoughts`, and answers that were cut off only with
    `truncated`. No text raises, or takes more than `aent.tasks.limits.SECONDS` of processor time to compare.
    """
    place = locate(text, thoughts=thoughts, truncated=truncated)
    if place.answer is None:
        return False
    if place.answer.strip() == gold.strip():
        return bool(gold.strip())
    due = read(gold, upright=True)
    if due is None or len(place.answer) > MAX_LENGTH:
        return False
    answers = [place.answer, *_together(place, due)]
    try:
        with budget():
            return any(_is_right(answer, gold, due, question, _FORMS[kind]) for answer in answers)
    except LimitError:
        return False


def voted_answer(text: str, *, thoughts: bool = False, truncated: bool = False) -> str | None:
    """Return the answer of a text in one spelling, None if there is none."""
    answer = locate(text, thoughts=thoughts, truncated=truncated).answer
    return spell(answer) if answer else None


def spell(answer: str) -> str:
    """Return an answer in one spelling, which other ways to write it share. Units and names are left out."""
    reading = read(answer)
    try:
        with budget():
            return answer if reading is None else comparing.spelling(reading)
    except LimitError:
        return answer


def is_readable(gold: str, kind: Kind | None = None) -> bool:
    """Whether a gold answer consists of numbers, words and expressions that can be compared."""
    reading = read(gold, upright=True)
    if reading is None or gold.strip().lower() in _MISSING:
        return False
    if kind == "number" and not isinstance(_without_unit(reading), Number):
        return False
    try:
        with budget():
            return comparing.is_readable(reading)
    except LimitError:
        return False


def _is_right(answer: str, gold: str, due: Answer, question: str, form: Form) -> bool:
    given = read(answer, upright=_has_letters(due))
    if given is None or _is_echo(answer, given, gold, question):
        return False
    return is_same(due, given, form)


def _together(place: Place, due: Answer) -> list[str]:
    """Return the boxes of a text as one answer, if there are as many as the gold answer has parts."""
    due = due.answer if isinstance(due, Named) else due
    parts = len(due.items) if isinstance(due, Several) and due.kind in ("list", "{}", "()") else 0
    return [", ".join(place.boxes)] if parts > 1 and len(place.boxes) == parts else []


def _has_letters(due: Answer) -> bool:
    """Whether letters behind a number may be variables."""
    match due:
        case Expression(latex):
            return any(letter.isalpha() for letter in latex.replace("\\", " "))
        case Several(_, items):
            return any(map(_has_letters, items))
        case Named(_, inside) | Measured(inside, _, _):
            return _has_letters(inside)
    return False


def _is_echo(answer: str, given: Answer, gold: str, question: str) -> bool:
    """Whether an answer is an expression of the question, and the gold answer is not."""
    if not question or isinstance(given, Words) or _is_decimal(given):
        return False
    asked, echo, due = squeezed(question, prose=True), squeezed(answer), squeezed(gold)
    return echo != due and _stands_in(echo, asked) and not _stands_in(due, asked)


def _is_decimal(given: Answer) -> bool:
    given = _without_unit(given)
    return isinstance(given, Number) and not given.divided and given.value.denominator == 1


def _without_unit(answer: Answer) -> Answer:
    while isinstance(answer, Measured | Named):
        answer = answer.answer
    return answer


def _stands_in(part: str, whole: str) -> bool:
    """Whether a part of a text stands in it, not within a longer word or number."""
    start = whole.find(part)
    while part and start >= 0:
        around = whole[max(0, start - 1) : start], whole[start + len(part) : start + len(part) + 1]
        if not any(letter.isalnum() for letter in around):
            return True
        start = whole.find(part, start + 1)
    return False
