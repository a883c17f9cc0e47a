"""`aent compare`, killed with SIGKILL at random moments and started again: is the table the same?

    python benchmarks/checks/killed.py [--kills 10] [--seed 0] [--folder runs/killed]

Two methods and two seeds on the default recipe, 20 steps each with a checkpoint at every fourth, once
undisturbed and once killed; everything but wall time must agree to the last digit.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

METHODS = """\
plain: {method: none}
auto: {method: aent-auto}
"""
ARGV = ["countdown", "--seeds", "3-4", "--baseline", "plain", "--jobs", "2", "--max_steps", "20",
        "--save_steps", "4", "--logging_steps", "2", "--per_device_train_batch_size", "64",
        "--evaluation.problems", "20", "--evaluation.samples", "4",
        "--policy.demonstrations", "2000", "--policy.hidden_size", "32", "--policy.layers", "1"]  # fmt: skip


def main() -> None:
    """Run, kill, compare; exit with 1 where the tables differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs/killed"))
    given = parser.parse_args()
    shutil.rmtree(given.folder, ignore_errors=True)
    given.folder.mkdir(parents=True)
    (given.folder / "methods.yaml").write_text(METHODS)
    begun = time.monotonic()
    start(given.folder, "whole").wait()
    seconds = time.monotonic() - begun
    moments = kill(given.folder, given.kills, random.Random(given.seed), seconds)
    start(given.folder, "killed").wait()
    same = table(given.folder, "whole") == table(given.folder, "killed")
    print(f"undisturbed {seconds:.0f} s; killed after {', '.join(f'{m:.1f}' for m in moments)} s; ", end="")
    print("the same table" if same else "ANOTHER TABLE")
    sys.exit(not same)


def start(folder: Path, name: str) -> subprocess.Popen[bytes]:
    """Start or continue a comparison."""
    argv = [sys.executable, "-m", "aent.cli.main", "compare", *ARGV]
    paths = ["--methods", str(folder / "methods.yaml"), "--output_dir", str(folder / name)]
    return subprocess.Popen([*argv, *paths], stdout=subprocess.DEVNULL)


def kill(folder: Path, count: int, rng: random.Random, seconds: float) -> list[float]:
    """Kill the comparison so many times, each at a random moment after its start; return the moments.

    One that comes to its end in between is begun anew.
    """
    moments: list[float] = []
    while len(moments) < count:
        process, moment = start(folder, "killed"), rng.uniform(0, 0.5 * seconds)
        try:
            process.wait(moment)
            shutil.rmtree(folder / "killed")
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            moments.append(moment)
    return moments


def table(folder: Path, name: str) -> list[dict[str, object]]:
    """What came out, without what a clock measured."""
    entries = json.loads((folder / name / "comparison.json").read_text())["entries"]
    return [entry for entry in entries if entry["metric"] != "seconds"]


if __name__ == "__main__":
    main()
