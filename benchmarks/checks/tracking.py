"""Does `aent-auto` keep the entropy in its band, whatever the vocabulary, learning rate and algorithm?

    python benchmarks/checks/tracking.py [--recipe benchmarks/evidence/eval-chain.yaml] [--seed 0] [--jobs 2]

One run per cell, without evaluation, nothing but the cell's own flags changed; with 32,768 tokens at a
smaller size. After step 20, the mean entropy of every ten steps is held against the band: from the floor, a
quarter of the starting entropy times the share of the training that is left, up to the starting entropy;
asked are 15 %. Beside that how near the floor it came.
Finished runs are not repeated.
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

from aent.runs.folder import RunFolder

BASE = 3e-4
CRITIC = ("--num_generations", "1", "--critic_learning_rate", "2e-3")
SMALLER = ("--policy.demonstrations", "12000", "--per_device_train_batch_size", "64")
"""With 32,768 tokens a run of full size would take most of an hour of a core, its policy half of one."""
CELLS = {
    "RLOO": ("--algorithm", "rloo", "--learning_rate", str(BASE)),
    "PPO": ("--algorithm", "ppo", "--learning_rate", str(BASE), *CRITIC),
    **{
        f"vocabulary {vocab}, learning rate x {factor}": (
            "--policy.vocab_size", str(vocab), "--learning_rate", str(factor * BASE), *size
        )
        for vocab, size in {64: (), 1024: (), 32768: SMALLER}.items()
        for factor in (0.3, 1, 3)
    },
}  # fmt: skip
"""What is changed, from GRPO with 1,024 tokens and a learning rate of 3e-4."""
ALLOWED = 0.15


def main() -> None:
    """Run what is missing and print a line per cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=Path("benchmarks/evidence/eval-chain.yaml"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs/tracking"))
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    paths = {cell: given.folder / f"{given.recipe.stem}-{given.seed}-{slug(cell)}" for cell in CELLS}
    with ThreadPoolExecutor(given.jobs) as pool:
        list(pool.map(lambda cell: train(paths[cell], given.recipe, given.seed, CELLS[cell]), CELLS))
    table = Table(
        "cell",
        "windows within 15 % of the band",
        "lowest",
        "highest",
        "last, over the floor",
        "reward, first and last ten",
    )
    for cell, path in paths.items():
        rows = RunFolder(path).logged_steps()
        off, above = deviations(rows)
        rewards = [np.mean([row["reward"] for row in part]) for part in (rows[:10], rows[-10:])]
        inside = int((abs(off) <= ALLOWED).sum())
        table.add_row(
            cell,
            f"{inside} of {len(off)}",
            f"{off.min():+.0%}",
            f"{off.max():+.0%}",
            f"{above[-1]:+.0%}",
            f"{rewards[0]:.2f}, {rewards[1]:.2f}",
        )
    Console().print(table)


def slug(cell: str) -> str:
    """The cell's name as part of a path."""
    return cell.lower().replace(",", "").replace(" ", "-")


def train(path: Path, recipe: Path, seed: int, flags: tuple[str, ...]) -> None:
    """Start or find the run of a cell."""
    if RunFolder(path).finished:
        return
    argv = [sys.executable, "-m", "aent.cli.main", "train", str(recipe), "--method", "aent-auto"]
    own = ["--seed", str(seed), "--evaluation", "null", "--logging_steps", "1", "--save_strategy", "no"]
    with path.with_suffix(".log").open("w") as out:
        subprocess.run(
            [*argv, *own, *flags, "--output_dir", str(path)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=out,
            stderr=subprocess.STDOUT,
            check=True,
        )


def deviations(rows: list[dict[str, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean entropy over the nearest of the band, and over the floor, less 1; of ten steps each after 20."""
    later = rows[20 : 20 + (len(rows) - 20) // 10 * 10]
    entropy, low, high = (
        np.array([row[name] for row in later]).reshape(-1, 10).mean(1)
        for name in ("aent/entropy", "aent/low", "aent/high")
    )
    return entropy / np.clip(entropy, low, high) - 1, entropy / low - 1


if __name__ == "__main__":
    main()
