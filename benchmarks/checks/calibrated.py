"""Does the block that `aent calibrate` prints keep the entropy in the band it predicts?

    python benchmarks/checks/calibrated.py [--seed 101] [--learning_rate 3e-4] [RECIPE ...]

For each recipe (those of benchmarks/evidence, unless given): calibrate with 128 prompts, train with the block
as it is, and hold the mean clamped entropy of every ten steps after the first 20 against the band. A recipe
whose policy shows no clear pull is said to have no block. Finished runs are not repeated.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from aent.runs.folder import RunFolder

RECIPES = sorted((Path(__file__).parents[1] / "evidence").glob("*-*.yaml"))
CLI = (sys.executable, "-m", "aent.cli.main")


def main() -> None:
    """Calibrate and train where that is missing, and print a line per recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("recipes", nargs="*", type=Path, default=RECIPES)
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--learning_rate", default="3e-4")
    parser.add_argument("--folder", type=Path, default=Path("runs/calibrated"))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    table = Table("recipe", "band", "windows inside", "lowest", "highest", "coefficient")
    for recipe in given.recipes:
        flags = ["--seed", str(given.seed), "--learning_rate", given.learning_rate]
        block = calibrated(recipe, flags, given.folder / f"{recipe.stem}-{given.seed}.yaml")
        if block is None:
            table.add_row(recipe.stem, "no clear pull", "", "", "", "")
            continue
        rows = trained(recipe, flags, block, given.folder / f"{recipe.stem}-{given.seed}")
        means, coefs = windows(rows, "aent/entropy"), windows(rows, "aent/coef")
        inside = int(((block["low"] <= means) & (means <= block["high"])).sum())
        table.add_row(
            recipe.stem,
            f"{block['low']:.3f} to {block['high']:.3f}",
            f"{inside} of {len(means)}",
            f"{means.min():.3f}",
            f"{means.max():.3f}",
            f"{coefs.min():.4f} to {coefs.max():.4f}",
        )
    Console().print(table)


def calibrated(recipe: Path, flags: list[str], out: Path) -> dict[str, float] | None:
    """The block for a recipe, from an earlier call or now; None where there is none."""
    if not out.exists():
        done = _run(
            "calibrate", recipe, *flags, "--prompts", "128", "--output", out, log=out.with_suffix(".txt")
        )
        if done == 1:
            return None
    return yaml.safe_load(out.read_text())["method"]


def trained(recipe: Path, flags: list[str], block: dict[str, float], path: Path) -> list[dict[str, float]]:
    """The logged steps of the run with the block, from an earlier call or now."""
    if not RunFolder(path).finished:
        own = ["--method", yaml.safe_dump(block, default_flow_style=True, width=1000).strip()]
        own += ["--evaluation", "null", "--logging_steps", "1", "--save_strategy", "no"]
        if code := _run("train", recipe, *flags, *own, "--output_dir", path, log=path.with_suffix(".log")):
            raise SystemExit(f"training ended with {code}; see {path.with_suffix('.log')}")
    return RunFolder(path).logged_steps()


def windows(rows: list[dict[str, float]], name: str) -> np.ndarray:
    """Means of every ten steps after the first 20."""
    values = [row[name] for row in rows[20 : 20 + (len(rows) - 20) // 10 * 10]]
    return np.array(values).reshape(-1, 10).mean(1)


def _run(*arguments: object, log: Path) -> int:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("w") as out:
        return subprocess.run(
            [*CLI, *map(str, arguments)], env=env, stdout=out, stderr=subprocess.STDOUT
        ).returncode


if __name__ == "__main__":
    main()
