"""The benchmark of what aent costs in verl still runs; its figures are in docs/verl.md."""

import math
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "speed" / "verl_cost.py"


def test_the_drivers_part_is_timed_for_every_kind_of_method():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--shape", "--repeats", "1"], capture_output=True, text=True, check=True
    )
    table = [line.split("|")[1:3] for line in done.stdout.splitlines() if line.startswith("| ")]
    rows = table[1:]  # below the heading
    assert [name.strip() for name, _ in rows] == [
        "a controller (aent)",
        "the share of a prompt that is solved (aent-auto)",
        "changed rewards (unlikeliness)",
        "group advantages (pass-at-k)",
    ]
    assert all(math.isfinite(float(milliseconds)) for _, milliseconds in rows)  # one repeat may be below 0
