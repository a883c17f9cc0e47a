"""Processor time of the slopes that aent-auto measures, beside the one matrix product that they need.

OMP_NUM_THREADS=1 python benchmarks/speed/slopes.py --vocab 262144 --width 640 --rows 256
"""

import argparse
import time
from collections.abc import Callable

import torch

from aent import TopP
from aent.ops import entropy_slopes


def main() -> None:
    """Measure both in turn, after a first call that compiles what is compiled."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--vocab", type=int, default=262_144)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.manual_seed(0)
    weight, hidden = torch.randn(given.vocab, given.width) * 0.02, torch.randn(given.rows, given.width) * 3
    targets = torch.randint(given.vocab, (given.rows,))
    runs: dict[str, Callable[[], object]] = {
        "slopes": lambda: entropy_slopes(hidden, weight, targets, subset=TopP(mass=0.9)),
        "product": lambda: [part @ weight.t() for part in hidden.split(128)],
    }
    entropy_slopes(hidden[:2], weight, targets[:2], subset=TopP(mass=0.9))
    for _ in range(given.rounds):
        print(", ".join(f"{name} {seconds(run):.2f} s" for name, run in runs.items()), flush=True)


def seconds(run: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    start = time.process_time()
    run()
    return time.process_time() - start


if __name__ == "__main__":
    main()
