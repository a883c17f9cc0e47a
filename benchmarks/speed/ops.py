"""Time and peak memory of token statistics: aent's backends beside other ways, interleaved in one run.

One process takes every method in turn, round by round, forward and backward. The first round checks
that each computes what it says (few rows against float64), the second measures its peak memory above
its inputs, the others its time. The machine's own floors take part in every round: a copy of the
logits; the three matrix products of an output layer. Figures go to ops.jsonl beside it.

    python benchmarks/speed/ops.py [--op logits linear] [--dtype float32 bfloat16] [--device cuda]
"""

import argparse
import gc
import json
import re
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import peers
import torch
from peers import Case, Leaves, Method
from rich.console import Console
from rich.table import Table
from torch import Tensor

from aent.records import versions

CHUNK_ROWS = 128
"""Rows of a chunk of the three products, as in aent's linear door on a CPU."""
PROC = Path("/proc/self")
TOLERANCE = {torch.float32: (1e-4, 1e-3), torch.bfloat16: (0.1, 0.05), torch.float16: (0.01, 0.01)}
"""What a method may be off by and still compute the same: nats, and parts of the gradient's norm."""


class Floor(NamedTuple):
    """What the machine needs at the least for a part of the work."""

    name: str
    run: Callable[[], None]


def main() -> None:
    options = parsed()
    torch.set_num_threads(options.threads)
    git = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent
    )
    made_with = {
        "clock": "cpu" if options.cpu_time else "wall",
        "threads": options.threads,
        "versions": dict(versions()),
        "commit": git.stdout.strip(),
    }
    for op in options.op:
        for dtype in options.dtype:
            rows = measure(op, getattr(torch, dtype), options)
            with options.out.open("a") as file:
                file.writelines(json.dumps({**row, **made_with}) + "\n" for row in rows)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--op", nargs="+", default=["logits", "linear"], choices=["logits", "linear"])
    parser.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--vocab", type=int, default=151_936)
    parser.add_argument("--dim", type=int, default=896)
    parser.add_argument("--drop", type=float, default=0.3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--cpu-time", action="store_true",
        help="processor time of this process, not the clock: where other programs disturb it",
    )  # fmt: skip
    parser.add_argument("--only", default="", help="regular expression that the names of methods match")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    options = parser.parse_args()
    if options.cpu_time and (options.threads > 1 or options.device != "cpu"):
        parser.error("--cpu-time is for one thread on a CPU: leave out --threads and --device")
    return options


def measure(op: str, dtype: torch.dtype, options: argparse.Namespace) -> list[dict]:
    """Run one table, print it, and return its rows."""
    case = made_case(op, dtype, options)
    methods, skipped = peers.logits_methods(case) if op == "logits" else peers.linear_methods(case)
    methods = [m for m in methods if re.search(options.only, m.name)]
    floors = logits_floors(case) if op == "logits" else linear_floors(case)
    spoiled = tuple(x.clone() for x in case.leaves) if any(m.overwrites for m in methods) else ()
    off = {m.name: check(case, m, fresh(case, m, spoiled)) for m in methods}
    memory = {m.name: peak_memory(case, m, fresh(case, m, spoiled)) for m in methods}
    clock = time.process_time if options.cpu_time else time.perf_counter
    seconds: dict[str, list[float]] = {x.name: [] for x in (*floors, *methods)}
    for round_ in range(options.rounds):
        for floor in floors:
            seconds[floor.name].append(timed(floor.run, clock, options.device))
        for method in methods if round_ % 2 else reversed(methods):
            leaves = fresh(case, method, spoiled)
            run = partial(method.run, case, leaves)
            seconds[method.name].append(timed(run, clock, options.device))
    times = {name: np.array(x) for name, x in seconds.items()}
    show(op, case, methods, times, memory, off)
    for line in skipped:
        print(f"skipped: {line}")
    return list(figures(op, case, times, memory, off))


def made_case(op: str, dtype: torch.dtype, options: argparse.Namespace) -> Case:
    """Make logits of standard deviation 3, or hidden states and a weight that give such logits."""
    torch.manual_seed(0)
    n, v, d = options.rows, options.vocab, options.dim
    leaves = (
        (3 * torch.randn(n, v),) if op == "logits" else (torch.randn(n, d), 3 / d**0.5 * torch.randn(v, d))
    )
    on_device = tuple(x.to(options.device, dtype) for x in leaves)
    targets, up = torch.randint(0, v, (n,)), torch.randn(2, n)
    return Case(on_device, targets.to(options.device), up.to(options.device), options.drop)


def logits_floors(case: Case) -> list[Floor]:
    """Copying reads once and writes once; forward and backward read twice and write once."""
    (logits,) = case.leaves
    there = torch.zeros_like(logits)
    return [Floor("floor: one copy", lambda: there.copy_(logits))]


def linear_floors(case: Case) -> list[Floor]:
    """Return the products of forward and backward, chunk by chunk, without anything between them.

    The gradients are made anew, as a method has to.
    """
    hidden, weight = case.leaves
    z = weight.new_zeros(min(CHUNK_ROWS, len(hidden)), len(weight))

    def run() -> None:
        grad_hidden, grad_weight = torch.empty_like(hidden), torch.zeros_like(weight)
        for start in range(0, len(hidden), CHUNK_ROWS):
            h = hidden[start : start + CHUNK_ROWS]
            chunk = torch.mm(h, weight.t(), out=z[: len(h)])
            torch.mm(chunk, weight, out=grad_hidden[start : start + CHUNK_ROWS])
            grad_weight.addmm_(chunk.t(), h)

    return [Floor("floor: three products", run)]


def fresh(case: Case, method: Method, spoiled: Leaves) -> Leaves:
    """Return leaves to run on; those that will be spoiled are copies."""
    if not method.overwrites:
        return tuple(x.detach().requires_grad_() for x in case.leaves)
    return tuple(
        there.copy_(x).detach().requires_grad_() for there, x in zip(spoiled, case.leaves, strict=True)
    )


def check(case: Case, method: Method, leaves: Leaves) -> float:
    """Return by how many nats the entropy is off, after seeing that the method computes what it says."""
    logp, entropy, grads = method.run(case, leaves)
    rows = slice(0, 4)
    expected = peers.exact(case, rows, clamped=method.clamped)
    errors = [
        (a[rows].double() - b).abs().max().item() for a, b in zip((logp, entropy), expected[:2], strict=True)
    ]
    relative = ((grads[0][rows].double() - expected[2]).norm() / expected[2].norm()).item()
    nats, parts = TOLERANCE[case.leaves[0].dtype]
    if not (max(errors) <= nats and relative <= parts):
        raise SystemExit(f"{method.name} computes something else: off by {errors} nats, gradient {relative}")
    return errors[1]


def timed(run: Callable[[], object], clock: Callable[[], float], device: str) -> float:
    """Return seconds; what was made is freed untimed."""
    synchronise(device)
    start = clock()
    made = run()
    synchronise(device)
    seconds = clock() - start
    del made
    return seconds


def synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def peak_memory(case: Case, method: Method, leaves: Leaves) -> float:
    """Return bytes at the peak above what is there before, NaN where nothing tells (CPUs but Linux)."""
    gc.collect()  # else what an earlier table left might go while this runs
    if leaves[0].is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        method.run(case, leaves)
        return torch.cuda.max_memory_allocated() - before
    if not (PROC / "clear_refs").exists():
        return float("nan")
    (PROC / "clear_refs").write_text("5")  # forget the peak
    before = resident_peak()
    method.run(case, leaves)
    return resident_peak() - before


def resident_peak() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", (PROC / "status").read_text())
    assert found, "Linux says how much was resident"
    return 1024 * int(found[1])


def quantiles(x: np.ndarray) -> list[float]:
    return np.quantile(x, [0.2, 0.5, 0.8]).tolist()


def bases(names: list[str]) -> list[str]:
    """Return what the others are compared with: the floors and aent's own."""
    return [x for x in names if x.startswith(("floor", "aent"))]


def show(
    op: str,
    case: Case,
    methods: list[Method],
    times: dict[str, np.ndarray],
    memory: dict[str, float],
    off: dict[str, float],
) -> None:
    shapes = " @ ".join(str(tuple(x.shape)) for x in case.leaves)
    size = case.leaves[0].nbytes
    compared = bases(list(times))
    title = f"{op} {shapes} {case.leaves[0].dtype}, drop {case.drop}, forward and backward"
    table = Table(
        "method", "ms [p20, p80]", *(f"x {name}" for name in compared),
        "extra MiB", "x first input", "H off by, nats", title=title,
    )  # fmt: skip
    full_only = {m.name for m in methods if not m.clamped}
    for name, seconds in times.items():
        low, middle, high = (1e3 * q for q in quantiles(seconds))
        ratios = [f"{np.median(seconds / times[base]):.2f}" for base in compared]
        extra = memory.get(name, float("nan"))
        error = f"{off[name]:.0e}" if name in off else ""
        table.add_row(
            name + (" (full entropy only)" if name in full_only else ""),
            f"{middle:.0f} [{low:.0f}, {high:.0f}]", *ratios,
            f"{extra / 2**20:.0f}" if name in memory else "",
            f"{extra / size:.2f}" if name in memory else "", error,
        )  # fmt: skip
    Console(width=220).print(table)


def figures(
    op: str, case: Case, times: dict[str, np.ndarray], memory: dict[str, float], off: dict[str, float]
):
    """Yield one row per figure."""
    leaf: Tensor = case.leaves[0]
    about = {
        "op": op,
        "shape": [list(x.shape) for x in case.leaves],
        "dtype": str(leaf.dtype).removeprefix("torch."),
        "drop": case.drop,
        "device": torch.cuda.get_device_name() if leaf.is_cuda else "cpu",
    }
    for name, seconds in times.items():
        columns = {"seconds": seconds} | {
            f"times {b}": seconds / times[b] for b in bases(list(times)) if b != name
        }
        columns |= {"peak bytes": memory[name], "nats off": off[name]} if name in memory else {}
        for metric, values in columns.items():
            p20, p50, p80 = quantiles(np.atleast_1d(values))
            yield {**about, "backend": name, "metric": metric, "p20": p20, "p50": p50, "p80": p80}


if __name__ == "__main__":
    main()
