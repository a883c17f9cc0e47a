"""The default recipe with AEnt and without, several seeds: does entropy collapse, does pass@1 rise?

Runs `aent train` for each method and seed, two at a time with one thread each, and prints what the
recipe promises beside what came out. A finished run is not repeated and a stopped one goes on, so the
command can be given again at any time.

    python benchmarks/speed/recipe.py [--seeds 3 4 5] [--folder runs/recipe]
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from aent.evaluation import load_results
from aent.records import versions
from aent.report.figure import training_figure
from aent.runs.folder import RunFolder

METHODS = ("none", "aent")
LAST = 3
"""Logging steps at the end over which entropy is averaged (10 optimiser steps each)."""


def train(folder: Path, method: str, seed: int) -> RunFolder:
    """Start, continue or find the run of one method and seed."""
    path = folder / f"{method}-{seed}"
    if not (path / "after" / "results.json").exists():
        new = ["--method", method, "--seed", str(seed), "--output_dir", str(path)]
        argv = ["--resume", str(path)] if (path / "config.yaml").exists() else new
        log = folder / f"{method}-{seed}.log"
        with log.open("a") as out:
            subprocess.run(
                [sys.executable, "-m", "aent.cli.main", "train", *argv],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdout=out,
                stderr=subprocess.STDOUT,
                check=True,
            )
    return RunFolder.open(path)


def entropies(run: RunFolder) -> tuple[float, float]:
    """Entropy at the start (evaluated) and over the last logged steps, nats per token.

    Clamped at the end where the method has a band, else full.
    """
    start = load_results(run.before).metrics["entropy"].value
    rows = run.logged_steps()
    key = "aent/entropy" if "aent/low" in rows[-1] else "entropy"
    return start, float(np.mean([row[key] for row in rows[-LAST:]]))


def verdict(run: RunFolder, start: float, end: float) -> str:
    """What the recipe promises: collapse for plain GRPO, the band for AEnt."""
    last = run.read_metrics()[-2]
    if "aent/low" not in last:
        return f"{end / start:.2f} of start: {'collapsed' if end < start / 2 else 'NOT collapsed'}"
    low, high = last["aent/low"], last["aent/high"]
    inside = low <= end <= high
    distance = "inside" if inside else f"{min(abs(end - low), abs(end - high)):.3f} OUTSIDE"
    return f"band {low:.2f}-{high:.2f}: {distance}"


def row(run: RunFolder) -> list[str]:
    before, after = (load_results(folder).metrics for folder in (run.before, run.after))
    start, end = entropies(run)

    def change(name: str) -> str:
        value, low, high = after[name]
        return f"{before[name].value:.3f} -> {value:.3f} [{low:.3f}, {high:.3f}]"

    return [
        run.path.name,
        f"{start:.3f} -> {end:.3f}",
        verdict(run, start, end),
        change("pass@1"),
        change("pass@16"),
    ]


def logged(run: RunFolder) -> list[dict[str, Any]]:
    return run.logged_steps()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 4, 5])
    parser.add_argument("--folder", type=Path, default=Path("runs/recipe"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    first, *rest = [(method, seed) for seed in options.seeds for method in METHODS]
    train(options.folder, *first)  # makes the policy that all the others take from the cache
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda job: train(options.folder, *job), rest))
    runs = {job: train(options.folder, *job) for job in [first, *rest]}
    table = Table("run", "entropy, nats", "verdict", "pass@1", "pass@16", caption=str(dict(versions())))
    for method in METHODS:
        for seed in options.seeds:
            table.add_row(*row(runs[method, seed]))
    Console(width=150).print(table)
    seed = options.seeds[0]
    picture = options.folder / "training.png"
    training_figure(
        logged(runs["aent", seed]),
        picture,
        title=f"GRPO on countdown, seed {seed}",
        baseline=logged(runs["none", seed]),
        labels=("AEnt", "plain GRPO"),
    )
    print(picture)


if __name__ == "__main__":
    main()
