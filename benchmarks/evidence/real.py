"""A real model trained with several methods: what is kept of each run, and the runs compared.

    python benchmarks/evidence/real.py keep RUN...    # a row per run folder of `aent train words`
    python benchmarks/evidence/real.py table          # for docs/real-models.md

A row of ``real.jsonl`` has the metrics of the evaluation after training. Per problem, it has how many answers
the reward of the task pays and how many the second grader passes (``benchmarks/checks/strict.py``). Earlier
rows lack some of these; the table compares policies on the seeds for which both have them.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aent.evaluation import load_results
from aent.evaluation.results import Record
from aent.records import json_text
from aent.runs.folder import RunFolder
from aent.statistics import PerProblem, mean_over_seeds, paired_difference

sys.path.append(str(Path(__file__).parents[1] / "checks"))
from strict import strict

RESULTS = Path(__file__).with_name("real.jsonl")
GRADES = {"by the reward": "correct", "strictly": "strict_correct"}
Row = Mapping[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("stage", choices=["keep", "table"])
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.stage == "keep":
        with options.results.open("a", encoding="utf-8") as file:
            file.writelines(json_text(row(RunFolder.open(run))) + "\n" for run in options.runs)
    else:
        print(table([json.loads(line) for line in options.results.read_text().splitlines()]))


def row(run: RunFolder) -> dict[str, Any]:
    """Return what is kept of a finished run."""
    recipe, evaluation = run.recipe, load_results(run.after)
    config, about = evaluation.config, evaluation.about
    method, steps = recipe.method["name"], recipe.trainer["max_steps"]
    return {
        "model": "SmolLM2-135M-Instruct",
        "policy": f"{method}-{steps}-steps",
        "training_seed": recipe.trainer["seed"],
        "task": recipe.task["name"],
        "problems": about["problems"]["used"],
        "samples": config.samples,
        "temperature": config.temperature,
        "top_p": config.top_p,
        "top_k": config.top_k,
        "max_tokens": about["max_tokens"],
        "seed": config.seed,
        "metrics": {name: [round(x, 4) for x in e] for name, e in evaluation.metrics.items()},
        "correct": counts(evaluation.records),
        "strict_correct": counts(strict(evaluation, {})),
        "cut_off": sum(record.length >= about["max_tokens"] for record in evaluation.records),
        "answers": len(evaluation.records),
        "versions": about["versions"],
        "machine": about["machine"],
        "command": f"aent train {recipe.task['name']} --model_name_or_path smollm --method {method} --seed "
        f"{recipe.trainer['seed']} --max_steps {steps} --logging_steps 1",
    }


def counts(records: Sequence[Record]) -> list[int]:
    """Return the number of right answers to each problem."""
    found = np.zeros(max(record.problem for record in records) + 1, dtype=int)
    for record in records:
        found[record.problem] += record.correct
    return found.tolist()


def table(rows: Sequence[Row]) -> str:
    """Return pass@1 of every trained policy, and its difference from plain GRPO on the seeds of both."""
    trained = [row for row in rows if row["task"] == "words" and "correct" in row and "training_seed" in row]
    lines = [
        "| policy | seeds | " + " | ".join(f"pass@1, {grade}" for grade in GRADES) + " |",
        "|---|---|---|---|",
    ]
    for policy in sorted({row["policy"] for row in trained}, key=lambda name: not name.startswith("none")):
        own = {row["training_seed"]: row for row in trained if row["policy"] == policy}
        baseline = "-".join(["none", *policy.rsplit("-", 2)[1:]])  # as many steps
        plain = {row["training_seed"]: row for row in trained if row["policy"] == baseline}
        cells = [cell(own, plain, column) for column in GRADES.values()]
        lines.append(f"| {policy} | {', '.join(map(str, sorted(own)))} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(own: Mapping[int, Row], plain: Mapping[int, Row], column: str) -> str:
    """Return the mean over seeds; behind it the paired difference, unless these are plain GRPO's own."""
    seeds = [
        seed for seed in sorted(own.keys() & plain.keys()) if column in own[seed] and column in plain[seed]
    ]
    text = f"{mean_over_seeds([shares(row, column) for row in own.values() if column in row]):.3f}"
    if own == plain or not seeds:
        return text
    before, after = ([shares(side[seed], column) for seed in seeds] for side in (plain, own))
    change, low, high = paired_difference(before, after)
    return f"{text} ({change:+.3f} [{low:+.3f}, {high:+.3f}])"


def shares(row: Row, column: str) -> PerProblem:
    """Return the share of right answers to each problem."""
    values = np.array(row[column]) / row["samples"]
    return PerProblem(values, np.ones(len(values)))


if __name__ == "__main__":
    main()
