"""What the checks of gpu.py share: where they run, what they measure, and how they take time."""

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor


class NotHereError(Exception):
    """Something that a check needs is missing; the message says what."""


class Place(NamedTuple):
    """The device of the checks, and whether this is a dry run at toy size."""

    device: str
    dry: bool

    def small(self, size: Any, toy: Any) -> Any:
        """Return a size, or its toy version in a dry run."""
        return toy if self.dry else size


class Figure(NamedTuple):
    """A measured number and what is asked of it, if anything."""

    what: str
    value: float
    at_most: float | None = None
    at_least: float | None = None
    unit: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the number is as asked; None if nothing is asked."""
        if self.at_most is None and self.at_least is None:
            return None
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)

    def row(self) -> dict[str, Any]:
        """Return the figure as the table and the file show it."""
        asked = f"at most {self.at_most:g}" if self.at_most is not None else ""
        asked += f"at least {self.at_least:g}" if self.at_least is not None else ""
        state = {None: "", True: "met", False: "missed"}[self.met]
        known = math.isfinite(self.value)
        value = f"{self.value:.4g} {self.unit}".strip() if known else "-"
        number = self.value if known else None
        return {"what": self.what, "value": value, "asked": asked, "state": state, "number": number}


def speed(place: Place, what: str, value: float, **asked: Any) -> Figure:
    """Return a figure of speed or memory; a dry run leaves out its value and asks nothing of it."""
    return Figure(what, math.nan) if place.dry else Figure(what, value, **asked)


def race(
    place: Place,
    jobs: Mapping[str, Callable[[], object]],
    rounds: int = 5,
    before: Mapping[str, Callable[[], object]] | None = None,
) -> dict[str, list[float]]:
    """Return the seconds of each job in each round; the jobs take turns, and the first turn is a warm-up.

    `before` has what is called, untimed, before a job. A dry run takes one turn and counts it.
    """
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(place.small(rounds + 1, 1)):
        for name in list(jobs) if turn % 2 else reversed(list(jobs)):
            if before and name in before:
                before[name]()
            took = timed(place, jobs[name])
            if turn or place.dry:
                seconds[name].append(took)
    return seconds


def timed(place: Place, job: Callable[[], object]) -> float:
    """Return the seconds of one call; what it returns is freed afterwards."""
    synchronize(place)
    start = time.perf_counter()
    result = job()
    synchronize(place)
    seconds = time.perf_counter() - start
    del result
    return seconds


def ratio(seconds: Mapping[str, list[float]], name: str, base: str) -> float:
    """Return the median over rounds of one job's time over another's."""
    return statistics.median(a / b for a, b in zip(seconds[name], seconds[base], strict=True))


def peak(place: Place, job: Callable[[], object]) -> float:
    """Return the bytes that a call allocates at its peak, beyond what exists before; NaN on a CPU."""
    if place.device == "cpu":
        job()
        return float("nan")
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    job()
    torch.cuda.synchronize()
    return float(torch.cuda.max_memory_allocated() - before)


def synchronize(place: Place) -> None:
    """Wait for the device."""
    if place.device != "cpu":
        torch.cuda.synchronize()


def fitting_rows(place: Place, rows: int, toy: int, bytes_per_row: int) -> int:
    """Return how many rows to take: as many as asked, fewer if the card's free memory would not hold them."""
    if place.dry:
        return toy
    free, _ = torch.cuda.mem_get_info()
    return max(1, min(rows, int(0.8 * free) // bytes_per_row))


def tiny_tiles(place: Place) -> None:
    """In a dry run, take tiles that toy sizes overflow, as tests/ops/backends/test_triton.py does."""
    if place.dry:
        from aent.ops.backends import triton, triton_launch

        triton_launch.TILES = triton_launch.Tiles(block=256, depth=2, segment=4, backward=512)
        triton.CHUNK = 2500


def upstream(rows: int, place: Place) -> Tensor:
    """Return gradients of (logp, entropy) that differ from row to row."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, rows, generator=generator).to(place.device)
