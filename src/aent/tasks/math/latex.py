r"""Answers in LaTeX, markdown or plain text, rewritten to one spelling of LaTeX."""

import re
import string
from collections.abc import Iterator

ROW = "\ue000"
r"""What stands for ``\\`` between the rows of a matrix."""

_OPENING, _CLOSING = "([{", ")]}"

_CHARACTERS = str.maketrans(
    {
        **{"−": "-", "–": "-", "—": "-", "×": r"\times ", "·": r"\cdot ", "∙": r"\cdot ", "÷": "/", "∗": "*"},
        **{"π": r"\pi ", "∞": r"\infty ", "√": r"\sqrt ", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta "},
        **{"φ": r"\phi ", "λ": r"\lambda ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "±": r"\pm "},
        **{"∪": r"\cup ", "∈": r"\in ", "∅": r"\emptyset ", "°": r"^\circ ", "²": "^2 ", "³": "^3 "},
        **{"½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⅓": r"\frac{1}{3}"},
        **{"⅔": r"\frac{2}{3}", "≈": "=", "’": "'", "\u00a0": "~", "\u202f": "~", "\u2009": "~"},
        **{"\t": " ", "\n": " ", "\r": " ", ROW: " "},
    }
)

_SPACE = r"(?:\\[,;:!> ]|\s|~|\\(?:q?quad|thinspace|medspace|thickspace|enspace)(?![A-Za-z])\s?)"

_MARKUP = (  # opening and closing marks around a whole answer
    ("**", "**"),
    ("__", "__"),
    ("```", "```"),
    ("`", "`"),
    ("$$", "$$"),
    ("$", "$"),
    (r"\(", r"\)"),
    (r"\[", r"\]"),
    ("*", "*"),
    ("_", "_"),
)

_FONTS = (
    "boxed|fbox|textbf|textit|emph|underline|uline|overset|mathbf|boldsymbol|bm|mathit|mathsf|textsf|texttt"
    "|mathtt|mathnormal|ensuremath|displaystyle"
)

_UPRIGHT = r"mathrm|operatorname\*?|text|textrm|textnormal|textup|mbox|hbox"

_ORDINAL = r"(?:st|nd|rd|th)(?:\s*\}){0,2}(?![A-Za-z])"

_COMMANDS = (
    (re.compile(r"\\(?:left|right)\s*\.(?![0-9])|\\[bB]igg?[lrm]?(?![A-Za-z])\s*"), ""),
    (re.compile(r"\\(?:left|right)(?![A-Za-z])\s*"), ""),
    (re.compile(r"\\(?:display|text|script)style(?![A-Za-z])|\\(?:no)?limits(?![A-Za-z])"), ""),
    (re.compile(r"\\hspace\s*\{[^{}]*\}|\\h?fill(?![A-Za-z])"), " "),
    (re.compile(r"\\[dtc]frac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\{\s*\\(?:rm|bf|it)\s+([^{}]*)\}"), r"\\text{\1}"),
    (
        re.compile(r"\\(?:mathrm|operatorname\*?|text|textrm|textnormal|mbox|mathrm)\s*\{\s*([eid])\s*\}"),
        r"{\1}",
    ),
    (
        re.compile(r"\\(?:mathrm|operatorname\*?|mbox|textrm|textnormal|textup|hbox)(?![A-Za-z])\s*\{"),
        r"\\text{",
    ),
    (
        re.compile(r"(?<=[0-9])\s*\^?\s*\{?\s*(?:\\text\s*\{\s*)?(?:st|nd|rd|th)(?:\s*\}){0,2}(?![A-Za-z])"),
        "",
    ),
    (re.compile(r"\\text\s*\{\s*((?:\\?[$€£¥])?[-+]?[0-9][^{}]*)\}"), r" \1"),
    (re.compile(r"\\(?:leq|leqslant|leqq)(?![A-Za-z])|<="), r"\\le "),
    (re.compile(r"\\(?:geq|geqslant|geqq)(?![A-Za-z])|>="), r"\\ge "),
    (re.compile(r"\\(?:neq)(?![A-Za-z])|\\not\s*=|!="), r"\\ne "),
    (re.compile(r"\\lt(?![A-Za-z])"), "<"),
    (re.compile(r"\\gt(?![A-Za-z])"), ">"),
    (re.compile(r"\\(?:approx|simeq|doteq)(?![A-Za-z])|:=|=="), "="),
    (re.compile(r"\\(?:varnothing|O)(?![A-Za-z])"), r"\\emptyset"),
    (re.compile(r"\\(?:lbrace|lbrack)(?![A-Za-z])"), r"\\{"),
    (re.compile(r"\\(?:rbrace|rbrack)(?![A-Za-z])"), r"\\}"),
    (re.compile(r"(?<=[0-9])\.(?![0-9.\\])"), ""),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"\*"), r"\\cdot "),
    (re.compile(r"\\(?:ast|star)(?![A-Za-z])"), r"\\cdot "),
    (re.compile(r"(?<=[0-9.])[eE]([-+]?[0-9]{1,3})(?![0-9A-Za-z.^])"), r" \\times 10^{\1}"),
    (re.compile(r"\^\s*\(([^()]*)\)"), r"^{\1}"),
    (re.compile(r"\\%|%|(?<=[0-9])\s*\\text\s*\{\s*percent\s*\}|(?<=[0-9])\s*percent(?![A-Za-z])"), r"\\%"),
    (re.compile(r"\\frac\s*([0-9])"), r"\\frac{\1}"),
    (re.compile(r"(\\frac\s*\{(?:[^{}]|\{[^{}]*\})*\})\s*([0-9A-Za-z])"), r"\1{\2}"),
    (re.compile(r"\\sqrt\s*([0-9A-Za-z])"), r"\\sqrt{\1}"),
    (re.compile(r"\\(?:log|ln)\s*_\s*([0-9])"), r"\\log_{\1}"),
)

_DOUBLED = re.compile(r"\\\\")

_PROSE_WORD = re.compile(
    r"(?<![\\A-Za-z])(?:[A-Za-z]{3,}|is|of|to|in|as|by|if|at|on|be|or|we|it|an|so|do|If|Is|In|To|As)(?![A-Za-z])"
)

_STOPS = string.whitespace + ".,;:"

_MOST_MARKS = 64  # each takes a walk over the text, and no answer has so many

_WORD = re.compile(r"(?<![\\A-Za-z])([A-Za-z]+)(?![A-Za-z])")

_FUNCTIONS = "sqrt|pi|exp|sin|cos|tan|cot|sec|csc|sinh|cosh|tanh|arcsin|arccos|arctan|ln|log"

_LETTERS = "theta|alpha|beta|gamma|delta|lambda|sigma|omega|phi"

_NAMED = {  # plain words that are commands
    **{name: name for name in f"{_FUNCTIONS}|{_LETTERS}".split("|")},
    **{"asin": "arcsin", "acos": "arccos", "atan": "arctan"},
    **{"infinity": "infty", "inf": "infty", "oo": "infty"},
}

_SEPARATOR = re.compile(r"(?:\{,\}|,?\s*(?:\\[,!]\s*)+,?|,|~)\s*")

_THOUSANDS = re.compile(rf"(?<![0-9.])[0-9]{{1,3}}(?:{_SEPARATOR.pattern}[0-9]{{3}}(?![0-9]))+")

_AND = re.compile(r"\\text\s*\{\s*,?\s*(?:and|or)\s*,?\s*\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])")


def plain(answer: str) -> str:
    r"""Return an answer in one spelling, without markup, thin spaces and fonts.

    Fractions are ``\frac{1}{2}``, products ``\cdot``, signs ``\le``. Thousands separators are removed, but
    bare commas within brackets separate coordinates. ``\\`` separates the rows of a matrix, or answers.
    """
    text = answer.translate(_CHARACTERS).strip()
    text = _DOUBLED.sub(
        ROW if r"\begin" in text else " , ", re.sub(r"\\\\(?=[a-z]{2})(?!.*\\begin)", r"\\", text)
    )
    text = strip_markup(text)
    text = _join_thousands(text)
    text = re.sub(_SPACE, " ", text.replace(r"\$", "§"))
    text = text.replace("$", "").replace("§", r"\$")
    text = _without_fonts(text)
    for pattern, spelling in _COMMANDS:
        text = pattern.sub(spelling, text)
    text = _outside_text(text)
    text = re.sub(r"\s+", " ", text).strip()
    text = strip_markup(re.sub(r"^(?:=|:)\s*", "", text))
    return text


def strip_markup(text: str) -> str:
    """Remove marks around a whole answer, and the full stop or comma at its end; up to `_MOST_MARKS` deep."""
    for _ in range(_MOST_MARKS):
        stripped = _without_stop(text.strip())
        for opening, closing in _MARKUP:
            inside = stripped[len(opening) : -len(closing)]
            whole = len(stripped) > len(opening) + len(closing) and stripped.startswith(opening)
            if whole and stripped.endswith(closing) and closing not in inside:
                stripped = inside
                break
        if stripped.startswith("{") and closing_bracket(stripped, 0) == len(stripped) - 1:
            stripped = stripped[1:-1]
        if stripped == text:
            break
        text = stripped
    return text


def _without_stop(text: str) -> str:
    r"""Remove the full stop, comma or space at the end, but not that of a thin space such as ``\,``."""
    end = len(text.rstrip(_STOPS))
    return text[: end + 1] if text.endswith("\\", 0, end) else text[:end]


def closing_bracket(text: str, start: int) -> int:
    """Return where the bracket that opens at `start` closes, or -1; any kind closes any other."""
    depth = 0
    for position in range(start, len(text)):
        if text[position] in _OPENING:
            depth += 1
        elif text[position] in _CLOSING:
            depth -= 1
            if depth == 0:
                return position
    return -1


def split_outside(text: str, separators: re.Pattern[str]) -> list[str]:
    """Split a text at the separators that stand in no bracket. Odd entries are the separators."""
    parts, start = [], 0
    depths = list(_depths(text))
    for match in separators.finditer(text):
        if depths[match.start()] == 0:
            parts += [text[start : match.start()].strip(), match[0].strip()]
            start = match.end()
    return [*parts, text[start:].strip()]


def squeezed(text: str, *, prose: bool = False) -> str:
    """Return a text without what does not change its meaning: spaces, markup, braces, spellings.

    The words of `prose` become bars, so that they do not run into its expressions.
    """
    text = _DOUBLED.sub("|", text.translate(_CHARACTERS))
    text = _PROSE_WORD.sub("|", text) if prose else text
    text = re.sub(rf"(?<=[0-9]){_SPACE}+(?=[0-9])", "|", text)
    text = re.sub(r"\\[dtc]frac(?![A-Za-z])", r"\\frac", text)
    text = re.sub(r"\\(?:left|right|displaystyle|cdot|times)(?![A-Za-z])|" + _SPACE, "", text)
    return re.sub(r"[$*{}]|\\[()\[\]]|^\s*=", "", text)


def unspaced(text: str) -> str:
    """Return an expression without spaces, and without braces around a single sign.

    Unlike `squeezed`, it keeps what tells ``2^{n-1}`` from ``2^{n}-1``, and ``2 \\cdot 3`` from ``23``.
    """
    text = re.sub(rf"(?<=[0-9]){_SPACE}+(?=[0-9])", "|", text)
    text = re.sub(r"\\(?:left|right|displaystyle)(?![A-Za-z])|" + _SPACE, "", text)
    return re.sub(r"\{([0-9A-Za-z])\}", r"\1", text)


def _depths(text: str) -> Iterator[int]:
    depth = 0
    for letter in text:
        depth -= letter in _CLOSING
        yield depth
        depth += letter in _OPENING


def _join_thousands(text: str) -> str:
    depths = list(_depths(text))

    def join(match: re.Match[str]) -> str:
        bare = re.fullmatch(r"[0-9]+(?:,[0-9]{3})+", match[0])
        coordinates = bare and depths[match.start()] > 0
        spaced = re.search(r"(?<![!{,\\]),\s", match[0])
        return match[0] if coordinates or spaced else _SEPARATOR.sub("", match[0])

    return _THOUSANDS.sub(join, text)


def _without_fonts(text: str) -> str:
    """Replace ``\textbf{x}`` and the like by ``{x}``, or by ``x`` where it is all."""
    text = re.sub(rf"\\(?:{_FONTS})(?![A-Za-z])\s*(?=\{{)", "", text)
    return strip_markup(text)


def _outside_text(text: str) -> str:
    r"""Rewrite plain words that are commands, and ``and`` and ``or`` to commas, but not within ``\text``."""
    text = _AND.sub(" , ", text)
    parts = re.split(r"(\\(?:text|begin|end)\s*\{[^{}]*\})", text)
    for index in range(0, len(parts), 2):
        parts[index] = re.sub(r"\^\s*([-+]?[0-9]{2,}|[-+][0-9])", r"^{\1}", parts[index])
        parts[index] = _WORD.sub(lambda m: f"\\{_NAMED[m[1]]} " if m[1] in _NAMED else m[1], parts[index])
    text = "".join(parts)
    while (root := re.search(r"\\sqrt\s*\(", text)) and (end := closing_bracket(text, root.end() - 1)) > 0:
        text = f"{text[: root.start()]}\\sqrt{{{text[root.end() : end]}}}{text[end + 1 :]}"
    return re.sub(r"(?<=\\frac|\\sqrt)\s+(?=\{)", "", re.sub(r"(?:\s*,\s*){2,}", ", ", text))


def closing_brace(text: str, start: int) -> int:
    """Return where the brace that opens at `start` closes, or -1. Braces behind a backslash do not count."""
    depth = 0
    for match in re.finditer(r"\\.|[{}]", text[start:], re.DOTALL):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0 and match[0] == "}":
            return start + match.start()
    return -1
