"""Checks of gpu.py: are the numbers right on this card?"""

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence

import torch
from gpu_common import Figure, NotHereError, Place, synchronize, tiny_tiles, upstream
from torch import Tensor

from aent import Fraction, Full, TopK, TopP, linear_token_loss, linear_token_stats, token_stats
from aent.ops.backends import triton
from aent.ops.head import Head
from aent.subsets import Subset

DROP: Subset = Fraction(drop=0.3)
SUBSETS: list[Subset] = [Full(), DROP, Fraction(drop=0.999), TopK(k=1), TopK(k=20), TopP(mass=0.9137)]
TOLERANCES = {
    torch.float32: (1e-6, 5e-6),
    torch.bfloat16: (1e-6, 8e-3),  # the statistics are float32; the gradient is rounded
    torch.float16: (1e-6, 1e-3),
}
"""Largest errors of statistics (over 1 or the value) and of gradients (over the row's largest)."""


def hard_rows(vocab: int, dtype: torch.dtype, place: Place) -> tuple[Tensor, Tensor]:
    """Return random, tied, equal, sorted and partly impossible rows, rows with an outlier, and targets."""
    torch.manual_seed(vocab)
    normal = 3 * torch.randn(vocab)
    impossible = torch.full((vocab - vocab // 2,), -math.inf)
    rows = [
        normal,
        4 * normal,
        normal.round(),
        torch.full((vocab,), -7.25),
        normal.sort().values,
        normal.sort(descending=True).values,
        torch.cat([torch.tensor([200.0]), normal[1:]]),
        torch.cat([normal[: vocab // 2], impossible]),
        torch.cat([normal[:1], torch.full((vocab - 1,), -math.inf)]),
    ]
    logits = torch.stack(rows)[:: place.small(1, 3)]
    targets = logits.argmax(-1)
    targets[:2] = torch.tensor([vocab - 1, vocab // 3])
    return logits.to(place.device, dtype), targets.to(place.device)


def both(backend: str, logits: Tensor, targets: Tensor, up: Tensor, subset: Subset) -> tuple[Tensor, ...]:
    """Return (logp, entropy, full_entropy, gradient) of Σ up_0 logp + up_1 entropy."""
    leaf = logits.detach().requires_grad_()
    stats = token_stats(leaf, targets, subset=subset, backend=backend)
    (up[0] * stats.logp + up[1] * stats.entropy).sum().backward()
    assert leaf.grad is not None
    return *(x.detach() for x in stats), leaf.grad


def errors(given: tuple[Tensor, ...], exact: tuple[Tensor, ...]) -> tuple[float, float]:
    """Return the largest errors of the statistics and of the gradient, relative as in `TOLERANCES`."""
    pairs = zip(given[:3], exact[:3], strict=True)
    of_stats = [((a.double() - b).abs() / b.abs().clamp(min=1)).max() for a, b in pairs]
    scale = exact[3].abs().amax(-1, keepdim=True).clamp(min=1e-3)
    of_gradient = ((given[3].double() - exact[3]).abs() / scale).max()
    return float(torch.stack(of_stats).nan_to_num(math.inf).max()), float(of_gradient.nan_to_num(math.inf))


def values(place: Place) -> Iterator[Figure]:
    """Both backends agree with float64: dtypes, vocabularies, subsets, hard rows, forward and backward."""
    tiny_tiles(place)
    vocabularies = place.small((37, 1000, 32_000, 151_936, 262_144), (300,))
    for backend in ("triton", "chunked"):
        for dtype in place.small(tuple(TOLERANCES), (torch.bfloat16,)):
            worst = (0.0, 0.0)
            for vocab in vocabularies:
                logits, targets = hard_rows(vocab, dtype, place)
                up = upstream(len(logits), place)
                for subset in place.small(SUBSETS, SUBSETS[1::4]):
                    exact = both("reference", logits.double(), targets, up.double(), subset)
                    found = errors(both(backend, logits, targets, up, subset), exact)
                    worst = max(worst[0], found[0]), max(worst[1], found[1])
            name = f"{backend} {str(dtype).removeprefix('torch.')}"
            yield Figure(f"{name}, error of the statistics", worst[0], at_most=TOLERANCES[dtype][0])
            yield Figure(f"{name}, error of the gradient", worst[1], at_most=TOLERANCES[dtype][1])


def cut(place: Place) -> Iterator[Figure]:
    """The Triton kernel cuts at exactly the token that sorting finds, tied tokens shared equally."""
    tiny_tiles(place)
    wrong = 0
    for vocab in place.small((37, 1000, 32_000, 151_936, 262_144), (300,)):
        for dtype in place.small((torch.float32, torch.bfloat16), (torch.float32,)):
            logits, targets = hard_rows(vocab, dtype, place)
            for subset in (Fraction(drop=0.3), Fraction(drop=0.999), TopK(k=20), TopP(mass=0.9137)):
                expected = subset.cut(logits.float())
                stats = measured(logits, targets, subset)
                if expected is not None:  # the vocabulary is larger than what is kept
                    wrong += int((stats[:, 6:7] != expected.threshold).sum())
                    wrong += int((stats[:, 7:8] != expected.share).sum())
    yield Figure("rows with another threshold or share", wrong, at_most=0)


def measured(logits: Tensor, targets: Tensor, subset: Subset) -> Tensor:
    """Return all columns that the Triton kernel records of each row."""
    stats = torch.empty(len(logits), 8, device=logits.device)
    triton.arithmetic(logits, subset, Head(logits.dtype)).measure(logits, targets, stats)
    return stats


def promises(place: Place) -> Iterator[Figure]:
    """Nothing that must not matter changes a number: repetition, order, streams, strides, memory, cards."""
    tiny_tiles(place)
    vocab = place.small(151_936, 300)
    for subset in (Fraction(drop=0.3), TopP(mass=0.9137)):
        name = type(subset).__name__
        logits, targets = hard_rows(vocab, torch.bfloat16, place)
        up = upstream(len(logits), place)
        plain = both("triton", logits, targets, up, subset)
        again = both("triton", logits, targets, up, subset)
        yield Figure(f"{name}: numbers that differ when repeated", different(plain, again), at_most=0)
        order = torch.randperm(vocab, device=place.device)
        moved = measured(logits[:, order].contiguous(), order.argsort()[targets], subset)
        kept = measured(logits, targets, subset)
        moves = different([moved[:, 6:]], [kept[:, 6:]])
        yield Figure(f"{name}: cuts that depend on the order of tokens", moves, at_most=0)
        strided = torch.stack([logits, logits], 1)[:, 0]  # rows that are not adjacent
        found = both("triton", strided, targets, up, subset)
        yield Figure(f"{name}: numbers that differ with strides", different(plain, found), at_most=0)
        changed = in_place(logits, targets, up, subset, plain)
        yield Figure(f"{name}: gradients that differ in place", changed, at_most=0)
    yield from linear_doors(place)
    if place.device == "cpu":
        return
    yield Figure("numbers that differ on two streams", on_two_streams(place), at_most=0)
    if torch.cuda.device_count() > 1:
        logits, targets = hard_rows(vocab, torch.bfloat16, place)
        up, there = upstream(len(logits), place), "cuda:1"
        first = both("triton", logits, targets, up, DROP)
        second = both("triton", logits.to(there), targets.to(there), up.to(there), DROP)
        changed = different(first, [x.to(first[0].device) for x in second])
        yield Figure("numbers that differ on a second card", changed, at_most=0)


def different(given: Sequence[Tensor], expected: Sequence[Tensor]) -> int:
    """Count the numbers that are not the same to the bit."""
    return sum(int((a != b).sum()) for a, b in zip(given, expected, strict=True))


def in_place(logits: Tensor, targets: Tensor, up: Tensor, subset: Subset, plain: tuple[Tensor, ...]) -> int:
    leaf = logits.clone().requires_grad_()
    stats = token_stats(leaf.view_as(leaf), targets, subset=subset, backend="triton", overwrite=True)
    (grad,) = torch.autograd.grad((up[0] * stats.logp + up[1] * stats.entropy).sum(), leaf)
    return different([grad], [plain[3]])


def linear_doors(place: Place) -> Iterator[Figure]:
    """Compare both linear doors with the reference: the same hidden states, in float32."""
    rows, vocab, dim = place.small((64, 32_000, 896), (5, 300, 6))
    torch.manual_seed(0)
    hidden, weight = torch.randn(rows, dim), 3 / dim**0.5 * torch.randn(vocab, dim)
    targets, up = torch.randint(0, vocab, (rows,)).to(place.device), upstream(rows, place)

    def gradients(door: str, backend: str, dtype: torch.dtype) -> list[Tensor]:
        h, w = (x.to(place.device, dtype).requires_grad_() for x in (hidden, weight))
        ups = list(up.to(dtype))
        if door == "loss":
            loss = linear_token_loss(
                h, w, targets, lambda p, e, a, b: a * p + b * e, columns=ups, subset=DROP, backend=backend
            ).loss
        else:
            stats = linear_token_stats(h, w, targets, subset=DROP, backend=backend)
            loss = (ups[0] * stats.logp + ups[1] * stats.entropy).sum()
        return list(torch.autograd.grad(loss, (h, w)))

    exact = gradients("stats", "reference", torch.float64)
    for door in ("stats", "loss"):
        found = gradients(door, "triton", torch.float32)
        error = max(float((a.double() - b).norm() / b.norm()) for a, b in zip(found, exact, strict=True))
        yield Figure(f"linear_token_{door}, error of the gradients (float32)", error, at_most=1e-4)


def on_two_streams(place: Place, times: int = 20) -> int:
    """Count the numbers that differ when two streams compute at the same time."""
    cases = [hard_rows(vocab, torch.bfloat16, place) for vocab in (32_000, 151_936)]
    expected = [measured(*case, DROP) for case in cases]
    streams = [torch.cuda.Stream() for _ in cases]
    synchronize(place)
    wrong = 0
    for _ in range(times):
        found = []
        for case, stream in zip(cases, streams, strict=True):
            with torch.cuda.stream(stream):
                found.append(measured(*case, DROP))
        synchronize(place)
        wrong += different(found, expected)
    return wrong


def sanitizer(place: Place) -> Iterator[Figure]:
    """compute-sanitizer finds nothing in both kernels at a small size (memcheck, racecheck)."""
    tool = shutil.which("compute-sanitizer")
    if tool is None and not place.dry:
        raise NotHereError("compute-sanitizer is not on the PATH; it comes with CUDA's toolkit")
    for kind in place.small(("memcheck", "racecheck"), ("none",)):
        before = [] if place.dry else [str(tool), "--tool", kind, "--error-exitcode", "9"]
        done = subprocess.run(
            [*before, sys.executable, __file__, place.device],
            capture_output=True, text=True, env={**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"},
        )  # fmt: skip
        if done.returncode:
            print(done.stdout[-4000:], done.stderr[-2000:], sep="\n")
        yield Figure(f"exit code with {kind}", done.returncode, at_most=0)


def smallest(place: Place) -> None:
    """Launch both kernels on a few rows, with every kind of cut."""
    tiny_tiles(place)
    logits, targets = hard_rows(place.small(20_011, 300), torch.float32, place)
    rows = slice(0, place.small(9, 2))
    for subset in (Full(), Fraction(drop=0.3), TopP(mass=0.9137)):
        both("triton", logits[rows], targets[rows], upstream(len(logits[rows]), place), subset)


if __name__ == "__main__":
    smallest(Place(sys.argv[1], sys.argv[1] == "cpu"))
