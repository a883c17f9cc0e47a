r"""Where the answer stands in a text: in a ``\boxed{}``, an ``<answer>``, after ``####``, or at its end."""

import re
from dataclasses import dataclass

from aent.tasks.math.latex import closing_brace, strip_markup

_MARK = "####"

_BOX = re.compile(r"\\f?box(?:ed)?(?![A-Za-z])")

_MOST_BOXES = 20
"""The last boxes of a text that are looked at: text that opens thousands costs no more."""

_TO_MATH_END = re.compile(r"\$|\\\)|\\\]|\n|$")

_TOGETHER = re.compile(  # possessive: "and and and ..." could be split in exponentially many ways
    r"(?:\s|[$,;.]|[A-Za-z]\s*=|\\[()\[\],;!]|\\?(?:text\s*\{\s*)?and\s*\}?|\\q?quad|&|\*)*+"
)

_THOUGHTS = ("think", "thinking", "thought", "reasoning")

_TAIL = 200  # characters of an unmarked text that are searched for its last expression

_MAX_BARE = 100  # characters of a text that is nothing but an answer

_ANSWER = re.compile(r"(?i:answer|result)\s*(?i:is|are|=|:|would be|must be|equals)\s*:?\s*")

_WORD = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{2,}")

_QUANTITY = re.compile(r"\S+(?:\s+[A-Za-z]{2,}){1,3}")

_EXPRESSION = re.compile(r"[0-9\\+=^/]|^\(?[A-Za-z]\)?$")

_NAME = re.compile(r"\W*[A-Za-z]+(?:[ '-][A-Za-z]+){0,2}\W*")

_MATH = re.compile(
    r"\$\$(?P<a>[^$]+)\$\$|(?<!\\)\$(?P<b>(?![0-9][0-9,.]*\s+[A-Za-z])[^$\n]+)(?<!\\)\$"
    r"|\\\((?P<c>.+?)\\\)|\\\[(?P<d>.+?)\\\]",
    re.DOTALL,
)

_NUMBER = r"(?:\\?[$€£¥]\s?)?[0-9]*\.?[0-9](?:[0-9]|[,.](?=[0-9]))*(?:\\?%)?"

_RUN = re.compile(
    rf"(?<![A-Za-z0-9.\\_])-?\(*{_NUMBER}\)*(?:\s*(?:[-+*/×÷^=·]|\*\*)\s*\(*-?\(*{_NUMBER}\)*)*"
    r"|-?\\(?:d?frac|sqrt)\s*\{[^{}]*\}(?:\{[^{}]*\})?"
)

_BEFORE = re.compile(r"(?:[0-9)}]|(?<![A-Za-z\\])[A-Za-z])\s*[-+*/×÷^·]\s*$")
_BEHIND = re.compile(r"\s*[-+/×÷^·=<>(]\s*$")
"""A run of numbers behind the one or before the other is a part of an expression: ``5x - 1``, ``1 + 1 =``."""

_LINKS = frozenset(
    re.findall(
        "[a-z]+",
        "and or so but then which is are was were we he she it they the of to for in with as that this from "
        "if since by at on when while let because plus minus times more less than an a where "
        "also now thus hence",
    )
)


@dataclass(frozen=True)
class Place:
    """An answer and how it was marked. No answer means that the text is unfinished or has none."""

    answer: str | None
    marked: bool = True
    boxes: tuple[str, ...] = ()
    """All boxes of the text, which may be the answer together."""


def final_answer(text: str) -> str | None:
    r"""Return the marked answer: that of the last box, the last ``<answer>``, or the last ``####``."""
    place = locate(text, thoughts=True)
    return place.answer if place.marked else None


def locate(text: str, *, thoughts: bool = False, truncated: bool = False) -> Place:
    r"""Return the answer of a text.

    It stands in the last ``\boxed`` or ``\fbox``, or else between the last ``<answer>`` tags, or else
    behind the last ``####``. A text without a mark is an answer as a whole, or ends in one. Answers in a
    ``<think>`` section do not count unless `thoughts`; nor do those that were cut off, unless `truncated`.
    """
    if not thoughts:
        text = _after_thoughts(text)
    boxes = _boxes(text, truncated)
    if boxes:
        return Place(boxes[-1], boxes=tuple(box for box in boxes if box is not None))
    opening, closing = text.rfind("<answer>"), text.rfind("</answer>")
    if opening >= 0:
        if closing < opening and not truncated:
            return Place(None)
        inside = text[opening + len("<answer>") : closing if closing > opening else None].strip()
        return Place(_bare(inside) or _last_expression(inside[-_TAIL:], truncated=True) or inside)
    _, mark, rest = text.rpartition(_MARK)
    if mark:
        return Place(strip_markup(rest.strip().split("\n")[0].strip()))
    return Place(_unmarked(text, truncated), marked=False)


def split_boxed(text: str) -> tuple[str, str] | None:
    r"""Return the inside of the last box and the text after it; None if there is none or it is not closed."""
    openings = list(_BOX.finditer(text))
    inside = _inside(text, openings[-1].end()) if openings else None
    return None if inside is None else (inside[0], text[inside[1] :])


def _after_thoughts(text: str) -> str:
    """Return the text behind the last section of thoughts; nothing if that is still open."""
    for tag in _THOUGHTS:
        _, closing, rest = text.rpartition(f"</{tag}>")
        text = rest if closing else text
        text = text[: text.find(f"<{tag}>")] if f"<{tag}>" in text else text
    return text


def _boxes(text: str, truncated: bool) -> list[str | None]:
    """Return the insides of the last boxes; boxes with nothing but ``and`` between them are one answer."""
    boxes: list[str | None] = []
    after = len(text)
    for match in list(_BOX.finditer(text))[: -_MOST_BOXES - 1 : -1]:
        inside = _inside(text, match.end())
        if inside is None:
            boxes.append(text[match.end() :].lstrip(" {") if truncated and not boxes else None)
        elif (
            boxes
            and boxes[-1] is not None
            and inside[1] <= after
            and _TOGETHER.fullmatch(text, inside[1], after)
        ):
            boxes[-1] = f"{inside[0].strip()}, {boxes[-1]}"
        elif inside[1] <= after:  # and not around the box behind it
            boxes.append(inside[0].strip())
        after = match.start()
    return boxes[::-1]


def _inside(text: str, start: int) -> tuple[str, int] | None:
    r"""Return the inside of a box and where it ends: in braces, or what follows (``\boxed 3``)."""
    while start < len(text) and text[start] in " \n\t":
        start += 1
    if text[start : start + 1] == "{":
        end = closing_brace(text, start)
        return None if end < 0 else (text[start + 1 : end], end + 1)
    match = _TO_MATH_END.search(text, start)
    end = match.start() if match else len(text)
    bare = text[start:end]
    if not match or not match[0].strip():  # no end of mathematics, so a word
        bare = bare.split(" ")[0]
    bare = bare.rstrip(" .,;")
    return (bare, start + len(bare)) if bare else None


def _unmarked(text: str, truncated: bool) -> str | None:
    tail = text[-_TAIL:]
    bare = _bare(text) if len(text) <= _MAX_BARE else None
    if bare is not None:
        return bare
    phrases = list(_ANSWER.finditer(tail))
    if phrases:
        rest = tail[phrases[-1].end() :]
        sentence = re.split(r"[.!?](?=\s|$|\*)|\n", rest.strip(), maxsplit=1)[0]
        name = strip_markup(sentence) if _NAME.fullmatch(sentence) and _is_finished(tail, len(tail)) else None
        return _bare(sentence) or name or _last_expression(rest, truncated)
    return _last_expression(tail, truncated)


def _bare(text: str) -> str | None:
    """Return a text that is nothing but an answer, without markup."""
    bare = strip_markup(text)
    if not bare or "\n" in bare or not _EXPRESSION.search(bare):
        return None
    return bare if len(_WORD.findall(bare)) < 2 or _QUANTITY.fullmatch(bare) else None


def _last_expression(text: str, truncated: bool) -> str | None:
    """Return the last expression of a text if the text ends with it or with a sentence about it."""
    text = text.replace("**", "").replace("`", "")
    matches = list(_MATH.finditer(text))
    after = matches[-1].end() if matches else 0
    runs = list(_RUN.finditer(text, after))
    match = runs[-1] if runs else matches[-1] if matches else None
    if match is None or not (truncated or _is_finished(text, match.end())):
        return None
    if match in matches:
        return next(filter(None, match.groups())).strip()
    if _BEFORE.search(text, 0, match.start()) or _BEHIND.match(text, match.end()):
        return None
    return match[0].rstrip(".,").strip()


def _is_finished(text: str, end: int) -> bool:
    """Whether a text ends with its last expression, a noun behind it, or the end of a sentence."""
    rest = re.sub(r"[\s*_`)\]}'\"$]+$", "", text[end:])
    if not rest or rest[-1] in ".!?":
        return True
    words = re.findall(r"[A-Za-z]+", rest)
    return (
        len(words) <= 2 and not re.search(r"[,;:=]", rest) and not _LINKS & {word.lower() for word in words}
    )
