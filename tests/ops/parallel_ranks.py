"""Run by test_parallel.py under torchrun: every case, each gloo rank with its slice of the vocabulary.

The vocabulary is split over the first two of four ranks, then over all.
"""

import math
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from aent.errors import InputError
from aent.ops import parallel
from aent.subsets import Fraction, Full, TopK, TopP

WIDTHS = {2: [20, 33], 4: [20, 1, 25, 7]}
VOCAB, ROWS, DIM = 53, 37, 6
SUBSETS = [
    Full(),
    Fraction(drop=0),
    Fraction(drop=0.3),
    TopK(k=1),
    TopK(k=20),
    TopP(mass=0.9),
    TopP(mass=0.2),
]
LINEAR_CASES = [(torch.float64, 3.0), (torch.float32, None), (torch.float32, 3.0), (torch.bfloat16, None)]


def _normal() -> torch.Tensor:
    return 3 * torch.randn(ROWS, VOCAB)


def _ties() -> torch.Tensor:
    return torch.randint(-2, 3, (ROWS, VOCAB)).float()


def _impossible() -> torch.Tensor:
    z = _ties().masked_fill_(torch.rand(ROWS, VOCAB) < 0.7, -math.inf)
    z[0, 1:] = -math.inf  # but one
    z[:, 0] = 1
    return z


def _extremes() -> torch.Tensor:
    z = torch.randn(ROWS, VOCAB)
    z[:12, 30] = 200
    z[12:24] *= 1e4
    z[24:] += 1000
    return z


def _zeros() -> torch.Tensor:
    return torch.zeros(ROWS, VOCAB).copysign(torch.randn(ROWS, VOCAB))  # 0.0 ties with -0.0


LOGITS = {
    "normal": _normal,
    "ties": _ties,
    "impossible": _impossible,
    "extremes": _extremes,
    "zeros": _zeros,
}
LOGITS_CASES = [(name, torch.float32) for name in LOGITS]
LOGITS_CASES += [(name, dtype) for name in ("normal", "ties") for dtype in (torch.float64, torch.bfloat16)]


def logits_case(name: str, dtype: torch.dtype, subset: Any) -> dict[str, Any]:
    """Return the whole input of one case, the same in every process."""
    torch.manual_seed(0)
    logits = LOGITS[name]().to(dtype)
    targets = torch.randint(0, VOCAB, (ROWS,))
    if name == "impossible":
        targets.zero_()
    options = {"subset": subset, "temperature": 1.0 if name in ("ties", "extremes") else 0.7}
    return {"logits": logits, "targets": targets, "up": torch.randn(2, ROWS), "options": options}


def linear_case(dtype: torch.dtype, subset: Any, softcap: float | None) -> dict[str, Any]:
    """Return hidden states and weights whose logits are exact in bfloat16, so that ties stay ties."""
    torch.manual_seed(0)
    hidden, weight = (torch.randint(-2, 3, (DIM, n)).to(dtype).t() for n in (ROWS, VOCAB))
    return {
        "leaves": [hidden, weight, torch.randint(-2, 3, (VOCAB,)).to(dtype)],
        "targets": torch.randint(0, VOCAB, (ROWS,)),
        "up": torch.randn(2, ROWS),
        "options": {"subset": subset, "temperature": 1.3, "softcap": softcap},
    }


class _Log:
    """The collectives called, in order: (name, elements, bytes of an element)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int]] = []
        for name in ("all_reduce", "all_gather"):
            setattr(dist, name, self._logged(name, getattr(dist, name)))

    def _logged(self, name: str, call: Any) -> Any:
        def logged(*args: Any, **kwargs: Any) -> Any:
            sent = args[1] if name == "all_gather" else args[0]
            self.calls.append((name, sent.numel(), sent.element_size()))
            return call(*args, **kwargs)

        return logged

    def take(self) -> list[tuple[str, int, int]]:
        """Return the calls since the last time."""
        calls, self.calls = self.calls, []
        return calls


class Rank:
    """One process, and its part in the group that holds the vocabulary."""

    def __init__(self, group: dist.ProcessGroup, log: _Log) -> None:
        self.group, self.log = group, log
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)

    def here(self, x: torch.Tensor) -> torch.Tensor:
        """Return this rank's slice of the first dimension."""
        return x.split(WIDTHS[self.size])[self.rank]

    def logits(self, case: dict[str, Any]) -> dict[str, Any]:
        """Take one case through the logits door."""
        shard = self.here(case["logits"].t()).t().clone().requires_grad_()
        stats = parallel.parallel_token_stats(shard, case["targets"], group=self.group, **case["options"])
        return self._result(stats, case["up"], [shard])

    def linear(self, case: dict[str, Any]) -> dict[str, Any]:
        """Take one case through the linear door."""
        hidden, weight, bias = case["leaves"]
        leaves = [x.clone().requires_grad_() for x in (hidden, self.here(weight), self.here(bias))]
        stats = parallel.parallel_linear_token_stats(
            leaves[0], leaves[1], case["targets"], bias=leaves[2], group=self.group, **case["options"]
        )
        return self._result(stats, case["up"], leaves)

    def different_rows(self) -> str:
        """Hold as many rows as the rank's number."""
        targets = torch.zeros(self.rank, dtype=torch.long)
        try:
            parallel.parallel_token_stats(torch.zeros(self.rank, 3), targets, group=self.group)
        except InputError as error:
            return str(error)
        return "no error"

    def _result(self, stats: Any, up: torch.Tensor, leaves: list[torch.Tensor]) -> dict[str, Any]:
        forward = self.log.take()
        (up[0] * stats.logp + up[1] * stats.entropy).sum().backward()
        return {
            "stats": [x.detach() for x in stats],
            "grads": [x.grad for x in leaves],
            "forward": forward,
            "backward": self.log.take(),
        }


def run(rank: Rank) -> dict[str, Any]:
    """Return what this rank gets for each case."""
    results: dict[str, Any] = {"different rows": rank.different_rows()}
    rank.log.take()
    for subset in SUBSETS:
        for name, dtype in LOGITS_CASES:
            results[f"{name} {dtype} {subset}"] = rank.logits(logits_case(name, dtype, subset))
        for dtype, softcap in LINEAR_CASES:
            case = linear_case(dtype, subset, softcap)
            results[f"linear {dtype} {subset} {softcap}"] = rank.linear(case)
    empty = linear_case(torch.float32, TopK(k=3), None)
    empty["leaves"][0] = empty["leaves"][0][:0]
    empty["targets"], empty["up"] = empty["targets"][:0], empty["up"][:, :0]
    results["no rows"] = rank.linear(empty)
    chunk, parallel.CHUNK = parallel.CHUNK, 10 * (max(WIDTHS[rank.size]) + 1)
    results["chunks logits"] = rank.logits(logits_case("normal", torch.float32, TopK(k=20)))
    results["chunks linear"] = rank.linear(linear_case(torch.float32, TopK(k=20), 3.0))
    parallel.CHUNK = chunk
    return results


def main(folder: Path) -> None:
    """Save the results of two ranks, of four, and the error of a rank outside the group."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    log = _Log()
    for size in WIDTHS:
        group = dist.new_group(list(range(size)))
        if dist.get_rank() < size:
            rank = Rank(group, log)
            torch.save(run(rank), folder / f"{rank.rank}-of-{size}.pt")
        elif dist.get_rank() == 2:
            torch.save(_outside(group), folder / "outside.pt")
    dist.destroy_process_group()


def _outside(group: dist.ProcessGroup) -> str:
    try:
        parallel.parallel_token_stats(torch.zeros(2, 3), torch.zeros(2).long(), group=group)
    except InputError as error:
        return str(error)
    return "no error"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
