"""Grade the saved answers of evaluations a second time, strictly, and show some of them.

    python benchmarks/checks/strict.py FOLDER [--show 20] [--gold FILE]

FOLDER is a run, with its evaluations before and after training, or one evaluation. For `words`, the right
answer is worked out from the question alone, with no code of the task. For mathematics from a file, give the
file again with --gold: rows with ``question`` or ``problem``, and ``answer``. The second grader compares
answers then, which shares no code with the one that pays. An answer passes if the policy ended it itself,
within the limit of tokens, and if its last box, or without a box the last number in it, is right. The script
prints pass@k by the reward of the task and by this grader, with 95 % intervals over problems; how many
answers the reward pays and this grader does not; how many were cut off; and answers to the same problems
before and after, with both grades.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import shorten

from second_grader import agrees

from aent.errors import InputError
from aent.evaluation.results import RESULTS, Evaluation, Record, estimates, load_results, per_problem

NUMBER = r"[0-9]+"
PRODUCTS = (rf"({NUMBER}) (?:times|\*) ({NUMBER})", rf"({NUMBER}) boxes with ({NUMBER}) ")
MORE, FEWER = rf"(?:buys|and) ({NUMBER}) more", rf"gives away ({NUMBER})"


def right(question: str) -> int:
    """Work out the answer of a question of `words`.

    Raises:
        InputError: if it is none.
    """
    found = next((match for pattern in PRODUCTS if (match := re.search(pattern, question))), None)
    first = re.search(NUMBER, question)
    if first is None:
        raise InputError(f"{question!r} is no question of the task words; other tasks need --gold")
    value = int(found[1]) * int(found[2]) if found else int(first[0])
    value += sum(int(number) for number in re.findall(MORE, question))
    return value - sum(int(number) for number in re.findall(FEWER, question))


def asked(record: Record) -> str:
    """Return the question of a record."""
    return record.prompt if isinstance(record.prompt, str) else record.prompt[-1]["content"]


def read_gold(file: Path) -> dict[str, str]:
    """Return the gold answers in a file by question; of GSM8K's, what follows ``####``."""
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines() if line]
    return {
        row.get("question") or row["problem"]: str(row["answer"]).rsplit("####", 1)[-1].strip()
        for row in rows
    }


def due(record: Record, golds: Mapping[str, str]) -> str:
    """Return the right answer: that of the gold question in the prompt, or without golds as in `right`.

    Raises:
        InputError: if there is none.
    """
    question = asked(record)
    if not golds:
        return str(right(question))
    answers = {gold for text, gold in golds.items() if text in question}
    if len(answers) != 1:
        raise InputError(f"{question!r} holds {len(answers)} questions of the file of gold answers, not one")
    return answers.pop()


def last_answer(text: str) -> str | None:
    r"""Return what stands in the last ``\boxed{}``, or the last number where there is none."""
    if r"\boxed{" in text:
        inside, depth = text.rsplit(r"\boxed{", 1)[1], 1
        for end, character in enumerate(inside):
            depth += (character == "{") - (character == "}")
            if not depth:
                return inside[:end]
        return None
    numbers = re.findall(r"-?[0-9][0-9,]*(?:\.[0-9]+)?", text)
    return numbers[-1].replace(",", "") if numbers else None


def passes(record: Record, limit: int, golds: Mapping[str, str]) -> bool:
    """Whether an answer of fewer than `limit` tokens ends with the right one."""
    answer = last_answer(record.completion)
    return answer is not None and record.length < limit and agrees(answer, due(record, golds))


def strict(evaluation: Evaluation, golds: Mapping[str, str]) -> list[Record]:
    """Return the records with the score of this grader."""
    limit = evaluation.about["max_tokens"]
    return [replace(record, score=float(passes(record, limit, golds))) for record in evaluation.records]


def report(name: str, evaluation: Evaluation, golds: Mapping[str, str]) -> list[str]:
    """Return lines with both grades of an evaluation."""
    ours = strict(evaluation, golds)
    ks = [int(metric[5:]) for metric in evaluation.metrics if metric.startswith("pass@")]
    ours_metrics = estimates(per_problem(ours, ks), seed=0)
    lines = [f"{name}: {len(ours)} answers"]
    for k in sorted({min(ks), max(ks)}):
        paid, passed = evaluation.metrics[f"pass@{k}"], ours_metrics[f"pass@{k}"]
        texts = (f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]" for e in (paid, passed))
        lines.append("  pass@{}: {} by the reward, {} strictly".format(k, *texts))
    pairs = list(zip(evaluation.records, ours, strict=True))
    only_paid = sum(theirs.correct and not mine.correct for theirs, mine in pairs)
    cut_off = sum(record.length >= evaluation.about["max_tokens"] for record in ours)
    paid = sum(record.correct for record in evaluation.records)
    lines.append(f"  paid but not passed: {only_paid} of {paid} paid; cut off: {cut_off} of {len(ours)}")
    return lines


def examples(
    evaluations: Sequence[tuple[str, Evaluation]], count: int, golds: Mapping[str, str]
) -> list[str]:
    """Return `count` answers of each evaluation to the same problems, first one to each problem."""
    graded = [
        (name, {(r.problem, r.sample): (r, s) for r, s in zip(e.records, strict(e, golds), strict=True)})
        for name, e in evaluations
    ]
    common = set.intersection(*(set(answers) for _, answers in graded))
    lines = []
    for place in sorted(common, key=lambda place: (place[1], place[0]))[:count]:
        record = graded[0][1][place][0]
        lines.append(f"\n{shorten(asked(record), 110)} = {due(record, golds)}")
        for name, answers in graded:
            record, mine = answers[place]
            text = " ".join(record.completion.split())
            lines.append(f"  {name}, paid {record.score:g}, strictly {mine.score:g}: {text}")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Print both grades of every evaluation in the folder, and examples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--show", type=int, default=20)
    parser.add_argument("--gold", type=Path)
    options = parser.parse_args(argv)
    golds = read_gold(options.gold) if options.gold else {}
    names = [name for name in ("before", "after") if (options.folder / name / RESULTS).exists()]
    try:
        evaluations = [(name, load_results(options.folder / name)) for name in names] or [
            (options.folder.name, load_results(options.folder))
        ]
        for name, evaluation in evaluations:
            print(*report(name, evaluation, golds), sep="\n")
        print(*examples(evaluations, options.show, golds), sep="\n")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
