"""Checks of gpu.py: time and memory, against the card's own floor and against other ways.

Every ratio is the median over rounds in which all ways take turns.
"""

import importlib.util
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import peers
import torch
from gpu_common import (
    Figure,
    NotHereError,
    Place,
    fitting_rows,
    peak,
    race,
    ratio,
    speed,
    tiny_tiles,
    upstream,
)
from torch import Tensor

from aent import Fraction, Full, TopK, TopP, linear_token_loss, token_stats
from aent.ops.backends import triton
from aent.ops.head import Head
from aent.subsets import Subset

VOCAB, ROWS, DROP = 151_936, 8192, 0.3


@dataclass
class Bench:
    """Logits in bfloat16 of standard deviation 3, and what is computed of them."""

    place: Place
    logits: Tensor
    targets: Tensor
    up: Tensor

    @classmethod
    def made(cls, place: Place, rows: int = ROWS, copies: int = 4) -> "Bench":
        """Make as many rows as the card has memory for; `copies` is how many more of them the check needs."""
        tiny_tiles(place)
        vocab = place.small(VOCAB, 64)
        rows = fitting_rows(place, rows, 1, (1 + copies) * 2 * vocab)
        torch.manual_seed(0)
        logits = torch.empty(rows, vocab, dtype=torch.bfloat16, device=place.device).normal_(0, 3)
        return cls(place, logits, torch.randint(0, vocab, (rows,)).to(place.device), upstream(rows, place))

    @property
    def shape(self) -> str:
        return f"{len(self.logits):,} x {self.logits.shape[1]:,}"

    def ours(self, subset: Subset, *, overwrite: bool = False) -> Callable[[], object]:
        """Return a call of forward and backward. In place, it leaves the gradient in the logits."""

        def run() -> object:
            leaf = self.logits.detach().requires_grad_()
            stats = token_stats(
                leaf.view_as(leaf), self.targets, subset=subset, backend="triton", overwrite=overwrite
            )
            return torch.autograd.grad((self.up[0] * stats.logp + self.up[1] * stats.entropy).sum(), leaf)

        return run

    def case(self) -> peers.Case:
        return peers.Case((self.logits,), self.targets, self.up, DROP)

    def peer(self, method: peers.Method) -> Callable[[], object]:
        """Return a call of another way, forward and backward."""
        case = self.case()
        return lambda: method.run(case, (self.logits.detach().requires_grad_(),))


def copy(place: Place) -> Iterator[Figure]:
    """Forward and backward take little more than the card's own copy, and no second tensor of logits."""
    bench = Bench.made(place)
    original, target = bench.logits.clone(), torch.empty_like(bench.logits)
    plain, in_place = bench.ours(Fraction(drop=DROP)), bench.ours(Fraction(drop=DROP), overwrite=True)
    restore = {"in place": lambda: bench.logits.copy_(original)}
    jobs = {"copy": lambda: target.copy_(original), "in place": in_place}
    in_turns = race(place, jobs, before=restore)
    bench.logits.copy_(original)
    seconds = race(place, {"copy": jobs["copy"], "plain": plain})
    size = bench.logits.nbytes
    bandwidth = 2 * size / statistics.median(seconds["copy"]) / 1e12
    yield speed(place, f"copy of {bench.shape} bfloat16, read and written", bandwidth, unit="TB/s")
    yield speed(place, "time over the copy's", ratio(seconds, "plain", "copy"), at_most=1.6)
    yield speed(place, "time in place over the copy's", ratio(in_turns, "in place", "copy"), at_most=1.6)
    extra = peak(place, plain) / size
    yield speed(place, "memory beyond the logits, in logits (the gradient is 1)", extra, at_most=1.05)
    yield speed(place, "memory beyond the logits in place", peak(place, in_place) / size, at_most=0.05)


def trl(place: Place) -> Iterator[Figure]:
    """The clamped entropy costs little more than TRL's kernels for the full entropy."""
    bench = Bench.made(place, copies=14)
    (theirs,) = chosen(bench, "TRL, two functions")
    seconds = race(place, {"ours": bench.ours(Fraction(drop=DROP)), "theirs": bench.peer(theirs)})
    yield speed(place, f"time over TRL's, {bench.shape}", ratio(seconds, "ours", "theirs"), at_most=1.15)


def chosen(bench: Bench, *names: str) -> list[peers.Method]:
    """Return other ways by their names; raises `NotHereError` with the reason if one is missing."""
    methods, skipped = peers.logits_methods(bench.case())
    found = {method.name: method for method in methods}
    for name in names:
        if name not in found:
            reason = next((line for line in skipped if line.startswith(name)), f"{name}: unknown here")
            raise NotHereError(reason)
    return [found[name] for name in names]


def naive(place: Place) -> Iterator[Figure]:
    """Naive selection takes at least 5 times as long, the original recipe at least 100 times."""
    bench = Bench.made(place, rows=1024, copies=24)
    ours = bench.ours(Fraction(drop=DROP))
    names = ("naive topk", "naive kthvalue", "naive sort")
    ways = {method.name: bench.peer(method) for method in chosen(bench, *names)}
    seconds = race(place, {"ours": ours, **ways}, rounds=3)
    for name in names:
        times = ratio(seconds, name, "ours")
        yield speed(place, f"{name}, times ours, {bench.shape}", times, at_least=5)
    (recipe,) = chosen(bench, "recipe, eager")
    seconds = race(place, {"ours": ours, "recipe": bench.peer(recipe)}, rounds=1)
    yield speed(place, "the original recipe, times ours", ratio(seconds, "recipe", "ours"), at_least=100)


def subsets(place: Place) -> Iterator[Figure]:
    """Time of every subset, over that of the full entropy."""
    bench = Bench.made(place)
    kinds: Sequence[Subset] = (Full(), Fraction(drop=DROP), TopK(k=place.small(100, 20)), TopP(mass=0.95))
    seconds = race(place, {str(subset): bench.ours(subset) for subset in kinds})
    for subset in kinds:
        name = str(subset)
        yield speed(place, f"{name}, {bench.shape}", 1e3 * statistics.median(seconds[name]), unit="ms")
        yield speed(place, f"{name} over Full()", ratio(seconds, name, str(kinds[0])))


def linear(place: Place) -> Iterator[Figure]:
    """The linear door beside TRL's fused head: time and peak memory at three widths, bfloat16."""
    tiny_tiles(place)
    if importlib.util.find_spec("trl") is None:
        raise NotHereError("TRL, fused head: trl is not installed")
    vocab, rows = place.small(VOCAB, 64), place.small(4096, 2)
    for dim in place.small((896, 1536, 3584), (8,)):
        torch.manual_seed(0)
        hidden = torch.randn(rows, dim).to(place.device, torch.bfloat16)
        weight = (3 / dim**0.5 * torch.randn(vocab, dim)).to(place.device, torch.bfloat16)
        targets, up = torch.randint(0, vocab, (rows,)).to(place.device), upstream(rows, place)
        case = peers.Case((hidden, weight), targets, up, DROP)
        methods = {method.name: method for method in peers.linear_methods(case)[0]}
        jobs = {
            "ours": partial(_ours_linear, case),
            "theirs": partial(_peer_linear, methods["TRL, fused head"], case),
        }
        seconds = race(place, jobs, rounds=3)
        yield speed(place, f"D = {dim}: ours", 1e3 * statistics.median(seconds["ours"]), unit="ms")
        yield speed(place, f"D = {dim}: ours over TRL's", ratio(seconds, "ours", "theirs"))
        memory = {name: peak(place, job) for name, job in jobs.items()}
        yield speed(place, f"D = {dim}: peak memory of ours over TRL's", memory["ours"] / memory["theirs"])


def _ours_linear(case: peers.Case) -> object:
    h, w = (x.detach().requires_grad_() for x in case.leaves)
    result = linear_token_loss(
        h, w, case.targets, lambda p, e, a, b: a * p + b * e,
        columns=list(case.up), subset=Fraction(drop=DROP), backend="triton",
    )  # fmt: skip
    return torch.autograd.grad(result.loss, (h, w))


def _peer_linear(method: peers.Method, case: peers.Case) -> object:
    return method.run(case, tuple(x.detach().requires_grad_() for x in case.leaves))


def tiles(place: Place) -> Iterator[Figure]:
    """A timed search for the sizes of the kernels; the winner is to be committed with this table."""
    from aent.ops.backends import triton_launch

    bench = Bench.made(place, rows=2048)
    start = triton_launch.TILES
    blocks, depths = place.small(((512, 1024, 2048), (16, 32, 64)), ((256,), (2, 4)))
    candidates = [start._replace(block=b, depth=d) for b, d in product(blocks, depths)]
    stats = torch.empty(len(bench.logits), 8, device=place.device)
    arithmetic = triton.arithmetic(bench.logits, Fraction(drop=DROP), Head(torch.bfloat16))

    def forward(sizes: triton_launch.Tiles) -> None:
        triton_launch.TILES = sizes
        arithmetic.measure(bench.logits, bench.targets, stats)

    def backward(sizes: triton_launch.Tiles) -> None:
        triton_launch.TILES = sizes
        arithmetic.differentiate(bench.logits, bench.targets, kept, bench.up.t().contiguous(), out)

    yield from _fastest(place, "forward", forward, candidates, start)
    kept, out = stats[:, 2:].contiguous(), torch.empty_like(bench.logits)
    widths = [start._replace(backward=b) for b in place.small((1024, 2048, 4096, 8192), (256, 512))]
    yield from _fastest(place, "backward", backward, widths, start)


def _fastest(place: Place, name: str, run: Callable, candidates: Sequence, start: object) -> Iterator[Figure]:
    """Time all candidates; the figures name the best and its time over that of the sizes in use."""
    jobs = {str(sizes): partial(run, sizes) for sizes in dict.fromkeys([start, *candidates])}
    seconds = race(place, jobs)
    best = min(jobs, key=lambda sizes: statistics.median(seconds[sizes]))
    yield speed(place, f"{name}: best is {best}", 1e3 * statistics.median(seconds[best]), unit="ms")
    yield speed(place, f"{name}: best over the sizes in use", ratio(seconds, best, str(start)))


def others(place: Place) -> Iterator[Figure]:
    """Other ways where they are installed, times ours: torch.compile of the naive form, verl."""
    bench = Bench.made(place, rows=1024, copies=24)
    methods, skipped = peers.logits_methods(bench.case())
    wanted = ("naive topk, torch.compile", "verl, two functions")
    ways = {method.name: bench.peer(method) for method in methods if method.name in wanted}
    if place.dry:
        ways.pop("naive topk, torch.compile", None)  # compiling takes half a minute
    if not ways:
        raise NotHereError(
            "; ".join(line for line in skipped if line.startswith(wanted)) or "none of them runs here"
        )
    seconds = race(place, {"ours": bench.ours(Fraction(drop=DROP)), **ways}, rounds=3)
    for name in ways:
        yield speed(place, f"{name}, times ours, {bench.shape}", ratio(seconds, name, "ours"))
