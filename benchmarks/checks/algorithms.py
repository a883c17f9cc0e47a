"""The default task with one algorithm after another: does pass@1 rise, and for PPO by half of RLOO's rise?

Runs `aent train` on the default recipe, without an entropy method, for each algorithm and seed, and prints
pass@1 before and after with 95 % bootstrap intervals over problems, and by how much the mean over seeds rose.
A finished run is not repeated and a stopped one goes on, so the command can be given again at any time. Flags
that are not its own are handed to `aent train`.

    python benchmarks/checks/algorithms.py [--seeds 3 4 5] [--folder runs/algorithms] [--jobs 2]
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from aent.evaluation import load_results
from aent.records import versions
from aent.runs.folder import RunFolder

ALGORITHMS = ("rloo", "ppo", "a2c")
CRITIC = ("--num_generations", "1", "--critic_learning_rate", "2e-3")
FLAGS = {"ppo": CRITIC, "a2c": CRITIC}
"""Chosen on seed 100: as many completions as the recipe has, each of another prompt."""


def train(folder: Path, algorithm: str, seed: int, flags: list[str]) -> RunFolder:
    """Start, continue or find the run of one algorithm and seed."""
    path = folder / f"{algorithm}-{seed}"
    if not (path / "after" / "results.json").exists():
        new = ["--algorithm", algorithm, "--method", "none", "--seed", str(seed), "--output_dir", str(path)]
        chosen = [*FLAGS.get(algorithm, ()), *flags]
        argv = ["--resume", str(path)] if (path / "config.yaml").exists() else [*new, *chosen]
        with (folder / f"{algorithm}-{seed}.log").open("a") as out:
            subprocess.run(
                [sys.executable, "-m", "aent.cli.main", "train", *argv],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdout=out,
                stderr=subprocess.STDOUT,
                check=True,
            )
    return RunFolder.open(path)


def rise(run: RunFolder) -> float:
    before, after = (load_results(folder).metrics["pass@1"].value for folder in (run.before, run.after))
    return after - before


def row(run: RunFolder) -> list[str]:
    """One run: pass@1 and pass@16 with intervals, entropy, and what the critic explained at the end."""
    before, after = (load_results(folder).metrics for folder in (run.before, run.after))
    logged = run.logged_steps()

    def change(name: str) -> str:
        value, low, high = after[name]
        return f"{before[name].value:.3f} -> {value:.3f} [{low:.3f}, {high:.3f}]"

    def late(key: str) -> str:
        known = [row[key] for row in logged[-3:] if row.get(key) is not None]
        return f"{np.mean(known):.3f}" if known else ""

    columns = change("pass@1"), change("pass@16"), late("entropy"), late("ppo/explained_variance")
    return [run.path.name, *columns]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--algorithms", nargs="+", default=list(ALGORITHMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 4, 5])
    parser.add_argument("--folder", type=Path, default=Path("runs/algorithms"))
    parser.add_argument("--jobs", type=int, choices=(1, 2), default=2, help="runs at a time")
    options, flags = parser.parse_known_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    first, *rest = [(name, seed) for seed in options.seeds for name in options.algorithms]
    train(options.folder, *first, flags)  # makes the policy that all the others take from the cache
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda job: train(options.folder, *job, flags), rest))
    table = Table("run", "pass@1", "pass@16", "entropy, nats", "explained", caption=str(dict(versions())))
    rises = {}
    for name in options.algorithms:
        runs = [train(options.folder, name, seed, flags) for seed in options.seeds]
        rises[name] = float(np.mean([rise(run) for run in runs]))
        for run in runs:
            table.add_row(*row(run))
    Console(width=150).print(table)
    for name, value in rises.items():
        share = f", {value / rises['rloo']:.2f} of RLOO's" if "rloo" in rises else ""
        print(f"{name}: pass@1 rises by {value:.3f}, mean over seeds{share}")


if __name__ == "__main__":
    main()
