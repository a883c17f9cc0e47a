r"""What do the rewards pay for that is no answer? A policy is trained to find it, from pieces of questions.

The policy writes the same short template for every question: up to six slots, each a piece of the question
(its numbers, words, last line, or all of it), a constant (``0``, ``nan``, ``True``, ...) or a sign. The
cross-entropy method trains it on the mean reward over some questions, and it is judged on others. All single
constants and pieces are tried first. For every task and every data set of reasoning-gym, the script prints
the template that pays best and an example, if it pays more than `--least`. Read them: some tasks have few
possible answers, or ask for a piece of the question, and then a template is an honest answer.

    python benchmarks/checks/hacks.py [--data FOLDER] [--only gsm8k reasoning-gym] [--sources coin_flip ...]
"""

import argparse
import random
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from aent.errors import InputError
from aent.tasks import TASKS, ReasoningGym, Row, Task, load_task

FILES = {
    "gsm8k": "gsm8k_test.jsonl",
    "aime24": "aime24.jsonl",
    "amc23": "amc23.jsonl",
    "math-500": "math500.jsonl",
    "minerva": "minerva_math.jsonl",
}
SLOTS = 6
EMPTY = ""
CONSTANTS = (
    *(
        "0",
        "1",
        "2",
        "-1",
        "10",
        "100",
        "0.5",
        "nan",
        "inf",
        "True",
        "False",
        "yes",
        "no",
        "None",
        "[]",
        "{}",
        "A",
        "B",
        "x",
        "?",
    ),
    *("[[]]", "impossible", "infeasible", "i", "None of these", "0 0", "1, 2, 3", "a b c"),
)
SIGNS = (
    " + ",
    " - ",
    " * ",
    "/",
    "^",
    ", ",
    " ",
    "\n",
    "=",
    "(",
    ")",
    "[",
    "]",
    "\\boxed{",
    "}",
    "<answer>",
    "</answer>",
    "#### ",
    "#",
    ">",
)

_Piece = Callable[[str], str]


def _numbers(question: str) -> list[str]:
    return re.findall(r"-?[0-9]+(?:\.[0-9]+)?", question)


def _nth(find: Callable[[str], list[str]], place: int) -> _Piece:
    def piece(question: str) -> str:
        pieces = find(question)
        return pieces[place] if -len(pieces) <= place < len(pieces) else EMPTY

    return piece


def _lines(question: str) -> list[str]:
    return [line.strip() for line in question.splitlines() if line.strip()]


PIECES: dict[str, _Piece] = {
    **{f"number {n}": _nth(_numbers, n - 1) for n in (1, 2, 3, 4)},
    **{f"number -{n}": _nth(_numbers, -n) for n in (1, 2)},
    **{
        f"all numbers{sign!r}": lambda q, sign=sign: sign.join(_numbers(q))
        for sign in (" + ", " * ", " ", ", ", "")
    },
    "sum": lambda q: str(sum(int(n) for n in re.findall("[0-9]{1,9}", q))),
    "largest": lambda q: str(max(map(int, re.findall("[0-9]{1,9}", q)), default="")),
    "how many numbers": lambda q: str(len(_numbers(q))),
    **{f"word {n}": _nth(str.split, n - 1) for n in (1, 2, 3)},
    **{f"word -{n}": _nth(str.split, -n) for n in (1, 2, 3)},
    **{f"line -{n}": _nth(_lines, -n) for n in (1, 2, 3)},
    "after the last colon": lambda q: q.rpartition(":")[2].strip(),
    "before the equals sign": lambda q: q.rpartition("=")[0].strip(),
    "in quotes": _nth(lambda q: re.findall(r"['\"]([^'\"]+)['\"]", q), -1),
    "in mathematics": _nth(lambda q: re.findall(r"\$([^$]+)\$", q), 0),
    "last mathematics": _nth(lambda q: re.findall(r"\$([^$]+)\$", q), -1),
    "question": lambda q: q,
}
VOCABULARY = (EMPTY, *PIECES, *CONSTANTS, *SIGNS)


def written(template: tuple[str, ...], question: str) -> str:
    """Fill the slots of a template from a question."""
    return "".join(PIECES[slot](question) if slot in PIECES else slot for slot in template)


def reward(task: Task, template: tuple[str, ...], rows: list[Row]) -> float:
    """Return the mean reward of a template. Rewards of None count as 0."""
    scores = [task.score(written(template, _question(row)), row) or 0.0 for row in rows]
    return sum(scores) / len(scores)


def _question(row: Row) -> str:
    return str(row["prompt"]).removesuffix("\n\nReason step by step, and put the final answer in \\boxed{}.")


def search(task: Task, rows: list[Row], rng: random.Random, rounds: int, samples: int) -> tuple[str, ...]:
    """Train a policy over templates by the cross-entropy method; return the best template met."""
    single = [(slot,) for slot in VOCABULARY if slot] + [
        ("\\boxed{", slot, "}") for slot in VOCABULARY if slot
    ]
    best = max(((reward(task, template, rows), template) for template in single), key=lambda pair: pair[0])
    weights = [dict.fromkeys(VOCABULARY, 1.0) for _ in range(SLOTS)]
    weights[0][EMPTY] = weights[-1][EMPTY] = weights[-2][EMPTY] = 20.0
    for _ in range(rounds):
        drawn = [tuple(rng.choices(list(w), list(w.values()))[0] for w in weights) for _ in range(samples)]
        scored = sorted(((reward(task, template, rows), template) for template in drawn), reverse=True)
        best = max(best, scored[0], key=lambda pair: pair[0])
        for payoff, template in [best, *scored[: samples // 8]]:
            for slot, choice in enumerate(template[:SLOTS]):
                weights[slot][choice] += 10 * payoff
    return best[1]


def tasks(options: argparse.Namespace) -> Iterator[tuple[str, Task, list[Row]]]:
    """Yield the name, the task and the questions of everything that can be had here."""
    count = 2 * options.questions
    for name in TASKS:
        if (options.only and name not in options.only) or name == "reasoning-gym":
            continue
        if name in FILES and options.data and (options.data / FILES[name]).exists():
            task = load_task(name, path=str(options.data), test=FILES[name], train=None)
        elif name in ("chain", "countdown", "lists"):
            task = load_task(name, test_size=count)
        else:
            print(f"{name}: no data here", flush=True)
            continue
        yield name, task, task.dataset("test").to_list()[:count]
    if options.only and "reasoning-gym" not in options.only:
        return
    from reasoning_gym.factory import DATASETS

    for source in options.sources or sorted(DATASETS):
        try:
            task = ReasoningGym(source=source, train_size=1, test_size=count)
            yield f"reasoning-gym {source}", task, task.dataset("test").to_list()
        except InputError as error:
            print(f"reasoning-gym {source}: refused. {str(error)[:120]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with files of the benchmarks")
    parser.add_argument("--only", nargs="*", help="names of tasks; by default all")
    parser.add_argument("--sources", nargs="*", help="data sets of reasoning-gym; by default all")
    parser.add_argument("--questions", type=int, default=8, help="to train on, and as many to judge on")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument(
        "--least", type=float, default=0.1, help="the mean reward from which on a template is shown"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name, task, rows in tasks(options):
        half = len(rows) // 2
        template = search(task, rows[:half], random.Random(name), options.rounds, options.samples)
        payoff = reward(task, template, rows[half:])
        if payoff < options.least:
            print(f"{name}: nothing pays ({payoff:.2f})", flush=True)
            continue
        example = written(template, _question(rows[half]))
        shown = " ".join(slot if slot in PIECES else repr(slot) for slot in template if slot)
        print(f"{name}: {payoff:.2f} for {shown}; for instance {example[:80]!r}", flush=True)


if __name__ == "__main__":
    main()
