"""Drawing one token per row on a CPU: `aent.policies.drawing.draw_one` beside `torch.multinomial`, in turn.

    python benchmarks/speed/drawing.py [--rounds 15]

Prints the median processor time of one thread for rows of softmax probabilities, in milliseconds.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from aent.policies.drawing import draw_one

SHAPES = ((32, 49_152), (16, 151_936), (16, 262_144))


def seconds(draw: Callable[[], object]) -> float:
    """Return the processor time of one call."""
    started = time.process_time()
    draw()
    return time.process_time() - started


def main() -> None:
    """Take turns and print a line for each shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for rows, vocab in SHAPES:
        p = torch.softmax(3 * torch.randn(rows, vocab), -1)
        pairs = [
            (seconds(lambda p=p: torch.multinomial(p, 1)), seconds(lambda p=p: draw_one(p)))
            for _ in range(rounds)
        ]
        ordinary, ours = (1e3 * statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{rows} x {vocab}: torch.multinomial {ordinary:.1f} ms, draw_one {ours:.1f} ms")


if __name__ == "__main__":
    main()
