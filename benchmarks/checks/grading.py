"""Does grading tell right from wrong on real answers? Gold answers, rewritten and mutated, by two graders.

Every gold answer of every file must be graded right, as it stands and in at least two other spellings.
It must be graded wrong with its sign flipped, a digit changed, another unit, in a box that is not closed,
or replaced by another problem's. Prints how many are, the processor time per answer, each exception by
the id of its problem, and where `second_grader`, which shares no code with the first, disagrees. The
second grader knows no inequalities, \\pm, bases or mixed numbers, so on MATH-500 it disagrees more often.

    python benchmarks/checks/grading.py --data FOLDER [--only minerva]
"""

import argparse
import json
import re
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table
from second_grader import agrees

from aent.tasks import load_task
from aent.tasks.math import comparing
from aent.tasks.math.quantities import number_of, split_unit, unit_of
from aent.tasks.task import Task

FILES = {
    "aime24": ("aime24", "aime24.jsonl"),
    "amc23": ("amc23", "amc23.jsonl"),
    "minerva": ("minerva", "minerva_math.jsonl"),
    "math500": ("math-500", "math500.jsonl"),
    "gsm8k-test": ("gsm8k", "gsm8k_test.jsonl"),
    "gsm8k-train": ("gsm8k", "gsm8k_train.jsonl"),
}
RIGHT = ("gold", "rewritten")
WRONG = ("sign flipped", "digit changed", "unit swapped", "cut off", "another's gold")
UNITS = ("m", "cm", "kg", "s", "J", "eV", "deg", "year")
OTHERS = 3


@dataclass
class Tally:
    """How one kind of answer was graded."""

    graded: int = 0
    as_due: int = 0
    exceptions: list[str] = field(default_factory=list)
    disagreements: list[str] = field(default_factory=list)


def answers(golds: list[str], index: int) -> Iterator[tuple[str, str]]:
    """Yield (kind, answer) for every answer that the problem is graded with."""
    gold = golds[index]
    body, unit = split_unit(gold, upright=True)
    tail = gold[len(body) :]
    yield "gold", gold
    yield "cut off", gold
    for rewritten in _rewritten(body):
        yield "rewritten", rewritten + tail
    if unit is not None:
        yield "rewritten", body
        yield "rewritten", rf"{body} \mathrm{{~{unit.text}}}"
    if (flipped := _flipped(body)) is not None:
        yield "sign flipped", flipped + tail
    for changed in _digits_changed(body):
        yield "digit changed", changed + tail
    for name in UNITS if unit is not None else ():
        swapped = unit_of(name)
        if (swapped.size, swapped.powers) != (unit.size, unit.powers):
            yield "unit swapped", rf"{body} \text{{ {name} }}"
    following = (golds[(index + step) % len(golds)] for step in range(1, len(golds)))
    for other in islice((g for g in following if not _same(g, gold)), OTHERS):
        yield "another's gold", other


def _rewritten(body: str) -> Iterator[str]:
    """Write an answer in at least two other ways."""
    number = number_of(body)
    if number is None:
        yield re.sub(r" (?!\{)", r"\\,", body.replace(r"\frac", r"\dfrac").replace("\\\\ ", "\\\\"))
        yield _compact(body)
        yield from _restructured(body)
        return
    mantissa, e, exponent = body.partition("e")
    if e:
        yield rf"{mantissa} \times 10^{{{int(exponent)}}}"
        yield rf"${mantissa}\cdot10^{{{int(exponent)}}}$"
    elif number.denominator != 1:
        yield f"{body}0"
        yield rf"\frac{{{number.numerator}}}{{{number.denominator}}}"
    else:
        yield f"{int(number):,}"
        yield f"{int(number)}.0"
        yield f"{int(number):,}".replace(",", "{,}")


def _compact(body: str) -> str:
    """Leave out spaces and braces that LaTeX does not need, and size the brackets."""
    body = re.sub(r"(?<![A-Za-z\\]) | (?![A-Za-z0-9])", "", re.sub(r"\\left|\\right|\\!", "", body))
    body = re.sub(r"\\frac\{([0-9])\}\{([0-9])\}", r"\\tfrac\1\2", body)
    return re.sub(r"\)|\]", r"\\right\g<0>", re.sub(r"\(|(?<!\\)\[", r"\\left\g<0>", body))


def _restructured(body: str) -> Iterator[str]:
    """Write a matrix in other brackets, an interval as an inequality, a set in another order."""
    bare = re.sub(r"\\left|\\right", "", body)
    if "pmatrix" in bare:
        yield bare.replace("pmatrix", "bmatrix")
    elif match := re.fullmatch(r"([(\[])([^,()]*),([^,()]*)([)\]])", bare):
        opening, low, high, closing = match.groups()
        if (opening, closing) != ("(", ")") and "infty" not in bare:
            signs = r"<" if opening == "(" else r"\le", r"<" if closing == ")" else r"\le"
            yield f"{low} {signs[0]} x {signs[1]} {high}"
    elif re.fullmatch(r"[-0-9, ]+", bare) and "," in bare:
        yield ", ".join(reversed(bare.split(",")))
    elif r"\cup" in bare:
        yield r" \cup ".join(reversed(bare.split(r"\cup")))
    elif r"\text" not in bare and "=" not in bare and r"\pm" not in bare and "_" not in bare:
        yield f"({bare})"


def _flipped(body: str) -> str | None:
    """Flip the sign of the last of several answers, of a right-hand side, or of the answer."""
    head, mark, last = next((p for m in ("=", ",") if (p := body.rpartition(m))[1]), ("", "", body))
    number = number_of(last)
    if number == 0:
        return None
    bare = last.strip()
    flipped = bare[1:] if bare.startswith("-") and number is not None else f"-({bare})"
    return head + mark + (f"-{bare.lstrip('+')}" if number is not None and number > 0 else flipped)


def _digits_changed(body: str) -> Iterator[str]:
    """Change the last digit, and the last before the exponent where there is one."""
    for part in {body, body.partition("e")[0]} if number_of(body) is not None else {body}:
        digits = list(re.finditer("[0-9]", part))
        if digits:
            place = digits[-1].start()
            yield f"{body[:place]}{(int(body[place]) + 1) % 10}{body[place + 1 :]}"


def _same(one: str, other: str) -> bool:
    """Whether two golds are one answer: the same text, or the same number in no other unit, or named."""
    one, other = (re.sub(r"^[a-z]\s*=\s*", "", gold) for gold in (one, other))
    bodies = split_unit(one, upright=True)[0], split_unit(other, upright=True)[0]
    numbers = number_of(bodies[0]), number_of(bodies[1])
    return bodies[0] == bodies[1] or (None not in numbers and numbers[0] == numbers[1])


def grade(task: Task, golds: list[str], ids: list[str]) -> dict[str, Tally]:
    """Grade every answer to every problem with both graders."""
    tallies = {kind: Tally() for kind in RIGHT + WRONG}
    for index, gold in enumerate(golds):
        for kind, answer in answers(golds, index):
            tally, due = tallies[kind], kind in RIGHT
            box = f"\\boxed{{{answer}" + ("" if kind == "cut off" else "}")
            right = task.score(box, {"answer": gold}) == 1
            tally.graded += 1
            tally.as_due += right == due
            case = f"{ids[index]}: {answer!r} for {gold!r}"
            if right != due:
                tally.exceptions.append(case)
            if kind != "cut off" and agrees(answer, gold) != right:
                tally.disagreements.append(f"{case} is {'right' if right else 'wrong'} to the first grader")
    return tallies


def problem_ids(file: Path) -> list[str]:
    """Return the id of every row, or its place where the file has none."""
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]
    return [str(row.get("id", row.get("idx", place))) for place, row in enumerate(rows)]


def _processor_time() -> float:
    """Return the processor time of this process and of the grading processes that have ended, in seconds."""
    comparing.PROCESS.close()
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the answer files")
    parser.add_argument("--only", nargs="*", choices=FILES, default=list(FILES))
    options = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    table = Table("file", "kind", "graded", "as due", "share", "graders disagree")
    started, answered = _processor_time(), 0
    for name in options.only:
        kind_of_task, file = FILES[name]
        task = load_task(kind_of_task, path=str(options.data), test=file, train=None)
        golds = list(task.dataset("test")["answer"])
        for kind, tally in grade(task, golds, problem_ids(options.data / file)).items():
            answered += tally.graded
            if tally.graded:
                share = f"{tally.as_due / tally.graded:.2%}"
                counts = (tally.graded, tally.as_due, share, len(tally.disagreements))
                table.add_row(name, kind, *map(str, counts))
            for title, cases in (("exception", tally.exceptions), ("disagree", tally.disagreements)):
                for case in cases:
                    console.print(f"{name}, {kind}, {title}: {case}", markup=False)
    console.print(table)
    seconds = _processor_time() - started
    console.print(
        f"{answered} answers in {seconds:.0f} s of processor time: {1e3 * seconds / answered:.2f} ms each"
    )
    console.print(", ".join(f"{package} {version(package)}" for package in ("math-verify", "sympy")))


if __name__ == "__main__":
    main()
