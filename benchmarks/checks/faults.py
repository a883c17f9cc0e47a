"""Faults, one after the other: does a run survive, and if it does not, does it say what to do?

    python benchmarks/checks/faults.py [GROUP ...] [--moments 20] [--seed 0] [--folder runs/faults]
                                       [--rows benchmarks/checks/faults.jsonl] [--table]

Groups: train, eval, compare, disk, rewards, numbers, files, soak; all of them if none is named. Each fault
is a row of the JSONL file; a group that is run again replaces its rows. Prints a table: tried, survived.
With --table, tries nothing and prints the table of the rows.
"""

import argparse
import importlib
import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

GROUPS = {
    "train": "faults_signals.check_train",
    "eval": "faults_signals.check_eval",
    "compare": "faults_signals.check_compare",
    "disk": "faults_disk.check",
    "rewards": "faults_numbers.check_rewards",
    "numbers": "faults_numbers.check",
    "files": "faults_files.check",
    "soak": "faults_soak.check",
}
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}


def main() -> None:
    """Try the faults and print the table; exit with 1 if one was not survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("groups", nargs="*", metavar="GROUP", choices=[*GROUPS, []])
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs/faults"))
    parser.add_argument("--rows", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        print(table(read(options.rows)))
        return
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ENVIRONMENT})
    logging.disable(logging.INFO)
    from faults_common import Place

    options.folder.mkdir(parents=True, exist_ok=True)
    place = Place(folder=options.folder.resolve(), moments=options.moments, seed=options.seed)
    place.prepare()
    for group in options.groups or GROUPS:
        module, _, function = GROUPS[group].partition(".")
        kept = [row for row in read(options.rows) if row["run"] != group]
        options.rows.write_text("".join(json.dumps(row) + "\n" for row in kept), "utf-8")
        for row in getattr(importlib.import_module(module), function)(place):
            print(f"{'ok ' if row.survived else 'BAD'} {row.group}: {row.case}: {row.said}", flush=True)
            with options.rows.open("a", encoding="utf-8") as file:
                said = row.said.replace(str(place.folder), "FOLDER")
                file.write(json.dumps({"run": group, **asdict(row), "said": said}) + "\n")
    every = read(options.rows)
    print(table(every))
    sys.exit(not all(row["survived"] for row in every))


def read(path: Path) -> list[Mapping[str, Any]]:
    """Read the rows of earlier groups."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def table(rows: list[Mapping[str, Any]]) -> str:
    """Return the table of docs/faults.md."""
    tried, survived = Counter(), Counter()
    for row in rows:
        tried[row["run"], row["group"]] += 1
        survived[row["run"], row["group"]] += row["survived"]
    lines = ["| Fault | Tried | Survived | Group |", "|---|---|---|---|"]
    lines += [f"| {key[1]} | {n} | {survived[key]} | `{key[0]}` |" for key, n in tried.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
