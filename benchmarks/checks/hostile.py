r"""Can an answer stop a training? Generated hostile answers, each graded as it would be in a run.

Deep nesting, towers of powers, huge factorials, unbalanced braces, megabytes, control characters, random
LaTeX and broken copies of real answers are graded against golds of every kind. No answer may raise, and
each must end within its limit: two seconds of processor time in the grading process, and the time to
restart it. Prints how many were graded, paid and given up, the slowest, and the largest memory of both
processes. Answers that are paid are printed, since none should be.

The state is saved after every 200 answers; the same command resumes where it stopped.

    python benchmarks/checks/hostile.py [--answers 100000] [--state hostile.json]
"""

import argparse
import json
import random
import resource
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from aent.tasks.limits import LimitError
from aent.tasks.math import comparing
from aent.tasks.math.grading import is_right, voted_answer

GOLDS = (
    *("271828", "3.25", r"\frac{355}{113}", r"x^2+271828x", r"\begin{pmatrix} 271 \\ 828 \end{pmatrix}"),
    *(r"(-271, 828]", "2, 71, 828", r"\text{entropy}", r"27 \text{ cm}", "y = 2x + 71828", "3121_8"),
    *(r"27 \pm \sqrt{18}", r"(27, \frac{\pi}{18})", r"e^{i\pi/28}", r"\sum_{k=1}^{n} k^{28}"),
)
TOKENS = (
    *(
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "^",
        "_",
        "0",
        "1",
        "9",
        "99",
        "x",
        "y",
        "i",
        "e",
        "+",
        "-",
        "*",
        "/",
        "=",
        "<",
        "!",
    ),
    *(
        ",",
        ".",
        ":",
        ";",
        "&",
        "|",
        "$",
        "%",
        "#",
        "~",
        " ",
        "\n",
        "\t",
        "\\",
        r"\\",
        r"\frac",
        r"\sqrt",
        r"\sum",
        r"\int",
    ),
    *(
        r"\prod",
        r"\lim",
        r"\log",
        r"\sin",
        r"\binom",
        r"\pm",
        r"\cup",
        r"\le",
        r"\ne",
        r"\in",
        r"\infty",
        r"\cdot",
    ),
    *(
        r"\text{",
        r"\boxed{",
        r"\fbox",
        r"\begin{pmatrix}",
        r"\end{pmatrix}",
        r"\left(",
        r"\right)",
        r"\overline{",
    ),
    *(
        "<answer>",
        "</answer>",
        "<think>",
        "</think>",
        "####",
        "**",
        "`",
        "€",
        "π",
        "√",
        "²",
        "٣",
        "\x00",
        "\x1b",
        "\u202e",
    ),
    *(
        "\ud800",
        "\ue000",
        "cm",
        "miles",
        "apples",
        "and",
        "or",
        "answer is",
        "nan",
        "__import__('os')",
        "lambda:0",
    ),
)
CONTROL = [
    chr(code) for code in (*range(32), 127, *range(128, 160), 0x200B, 0x200F, 0x202E, 0x2066, 0xFEFF, 0xFFFF)
]


def nested(rng: random.Random) -> str:
    """Deep nesting of one construct, closed or not."""
    opening, inner, closing = rng.choice(
        [
            *(
                ("{", "1", "}"),
                ("(", "x", ")"),
                ("[", "1", "]"),
                (r"\frac{1}{", "2", "}"),
                (r"\sqrt{", "2", "}"),
            ),
            *(
                (r"\left(", "x", r"\right)"),
                ("x^{", "2", "}"),
                ("-(", "1", ")"),
                (r"\sin(", "x", ")"),
                (r"\text{", "a", "}"),
            ),
            *(
                (r"\{", "1", r"\}"),
                ("((1+", "x", ")^2)"),
                (r"\boxed{", "1", "}"),
                ("|", "x", "|"),
                (r"\overline{", "1", "}"),
            ),
            *(
                (r"\begin{pmatrix}", "1", r"\end{pmatrix}"),
                ("(1, ", "2", ")"),
                ("x = ", "1", ""),
                (r"\lfloor ", "x", r"\rfloor "),
            ),
        ]
    )
    depth = rng.choice((3, 20, 60, 100, 300, 2000, 20000))
    return opening * depth + inner + closing * rng.choice((depth, depth, depth - 1, 0, depth + 1))


def tower(rng: random.Random) -> str:
    """Towers of powers and powers of sums, of numbers and of variables."""
    base, height = (
        rng.choice(("9", "x", "(1+x)", "(x+y+z)", "e", "0.5", "(-1)", "i", r"\pi", "99")),
        rng.randint(2, 12),
    )
    exponents = [
        rng.choice(("9", "2", "20", "99", "999", "9999", "x", "{-9}", "{1/2}", "n", "{99!}"))
        for _ in range(height)
    ]
    if rng.random() < 0.5:
        text = base
        for exponent in exponents[: rng.randint(1, 6)]:
            text = f"({text}{rng.choice(('', '+1', '-1', '-x'))})^{{{exponent}}}"
        return text
    return "^{".join([base, *exponents]) + "}" * height


def factorial(rng: random.Random) -> str:
    """Factorials, binomials, sums and products that would take for ever."""
    n = rng.choice(("9", "99", "999", "9999", "99999", "9" * 9, "9" * 40, "(99!)", "n", "10^{9}", "(x+99)"))
    forms = [
        *(f"{n}!", f"{n}!!", f"({n}!)!", rf"\binom{{{n}}}{{99}}", rf"\sum_{{k=1}}^{{{n}}} k^{{k}}"),
        *(rf"\prod_{{k=1}}^{{{n}}} k", rf"\int_0^{{{n}}} e^{{-x^2}} \sin(x^{{99}}) dx", rf"\log_{{{n}}} {n}"),
        *(rf"\lim_{{x\to {n}}} \frac{{1}}{{x}}", rf"\Gamma({n})", rf"\sqrt[{n}]{{2}}", rf"\sin({n})"),
        *(rf"\sum_{{k=1}}^{{\infty}} \frac{{1}}{{k^{{{n}}}}}", rf"{n} \mod 7", rf"\gcd({n}, 27)"),
    ]
    return rng.choice(forms)


def unbalanced(rng: random.Random) -> str:
    """Brackets in random order."""
    return "".join(rng.choice("{}()[]^_\\$") for _ in range(rng.choice((2, 5, 20, 200, 5000))))


def megabyte(rng: random.Random) -> str:
    """One short piece, a hundred thousand to a million characters long."""
    piece = "".join(rng.choice(TOKENS) for _ in range(rng.randint(1, 3)))
    return piece * (rng.choice((100_000, 1_000_000)) // len(piece))


def control(rng: random.Random) -> str:
    """Control characters, alone and within an answer."""
    letters = [rng.choice((*CONTROL, "1", "x", "+", "{")) for _ in range(rng.choice((1, 10, 100)))]
    return "".join(letters)


def soup(rng: random.Random) -> str:
    """Tokens of LaTeX and markup in random order."""
    return "".join(rng.choice(TOKENS) for _ in range(rng.choice((1, 2, 3, 5, 8, 13, 40, 150))))


def broken(rng: random.Random) -> str:
    """A gold answer with one digit or sign changed, and with tokens put in, taken out and repeated."""
    text = list(rng.choice(GOLDS).replace("8", "7"))
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(text) + 1)
        text[place : place + rng.choice((0, 0, 1, 2))] = [rng.choice(TOKENS)] * rng.choice((1, 1, 2, 30))
    return "".join(text)


def long_expression(rng: random.Random) -> str:
    """Long sums, products, lists and matrices."""
    term = rng.choice(
        (r"\sin(x^{9})", r"\frac{1}{x+1}", "x", "9999", r"\sqrt{2}", "(x+y)^{99}", "e^{x}", "1 & 2", "3:4")
    )
    join = rng.choice(("+", "-", "*", ",", "=", "<", r" \\ ", r"\cup ", r"\pm ", "^", "/", " and "))
    return join.join([term] * rng.choice((2, 5, 20, 60, 200)))


FAMILIES: tuple[Callable[[random.Random], str], ...] = (
    *(nested, tower, factorial, unbalanced, control, soup, soup, broken, broken, long_expression),
)
CHUNK = 200
MEGABYTES = 100  # one answer in so many is a megabyte


def answer(index: int) -> tuple[str, str, str]:
    """Return the family, the text and the gold of an answer."""
    rng = random.Random(index)
    family = megabyte if index % MEGABYTES == 0 else rng.choice(FAMILIES)
    text = family(rng)
    wrapped = rng.choice(
        (text, f"\\boxed{{{text}}}", f"\\boxed{{{text}}}", f"#### {text}", f"The answer is ${text}$.")
    )
    return family.__name__, wrapped, rng.choice(GOLDS)


class Watched:
    """Counts the calls of the grading process that exceeded a limit."""

    def __init__(self) -> None:
        self.given_up = 0
        self.call = comparing.PROCESS.call
        comparing.PROCESS.call = self  # type: ignore[method-assign]

    def __call__(self, function: str, *arguments: object) -> object:
        """Call the grading process."""
        try:
            return self.call(function, *arguments)
        except LimitError:
            self.given_up += 1
            raise


def grade(index: int, state: dict, watched: Watched) -> None:
    """Grade one answer and count what came of it."""
    family, text, gold = answer(index)
    begin, own = time.monotonic(), time.thread_time()
    before = watched.given_up
    try:
        paid = is_right(text, gold, kind="any", thoughts=True, truncated=True)
        voted_answer(text)
        if paid:
            state["paid"].append([index, family, text[:300], gold])
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        state["raised"].append([index, family, repr(error)[:300]])
    wall, own = time.monotonic() - begin, time.thread_time() - own
    state["families"][family] = state["families"].get(family, 0) + 1
    if watched.given_up > before:
        state["given_up"][family] = state["given_up"].get(family, 0) + 1
    for name, value in (("wall", wall), ("own", own)):
        if value > state["slowest"].get(name, [0])[0]:
            state["slowest"][name] = [round(value, 3), index, family, text[:100]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--answers", type=int, default=100_000)
    parser.add_argument("--state", type=Path, default=Path("hostile.json"))
    options = parser.parse_args()
    state = {
        "done": 0,
        "paid": [],
        "raised": [],
        "families": {},
        "given_up": {},
        "slowest": {},
        "memory": {},
        "seconds": 0.0,
    }
    if options.state.exists():
        state = json.loads(options.state.read_text())
    watched = Watched()
    while state["done"] < options.answers:
        begin = time.monotonic()
        for index in range(state["done"], min(state["done"] + CHUNK, options.answers)):
            grade(index, state, watched)
            state["done"] = index + 1
        state["seconds"] += time.monotonic() - begin
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        comparing.PROCESS.close()  # so that it is counted
        other = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
        for name, mebibytes in (("own", own), ("grading", other)):
            state["memory"][name] = max(mebibytes, state["memory"].get(name, 0))
        options.state.write_text(json.dumps(state))
    for name in ("done", "seconds", "families", "given_up", "slowest", "memory", "raised"):
        print(f"{name}: {state[name]}")
    print(f"paid: {len(state['paid'])}")
    for index, family, text, gold in state["paid"][:50]:
        print(f"  {index} {family}: {text!r} for {gold!r}")
    print("by family, paid:", dict(Counter(family for _, family, _, _ in state["paid"])))


if __name__ == "__main__":
    main()
