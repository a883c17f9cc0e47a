"""The entropy over a vocabulary that is split among many ranks: is it exact, and what does it send?

    python benchmarks/speed/shards.py [--shards 1,2,8,64] [--vocab 151936] [--rows 64]

Ranks are threads of this process that exchange tensors in memory, so the code under test is that of a
cluster and only `torch.distributed` is simulated. The table says how often each rank calls a collective in
forward and backward of `--rows` rows, how many bytes it puts in per row, how many messages that is with a
ring (2 (S - 1) per all-reduce) and with recursive doubling (log2 S), and how far the results are from the
dense answer. It reports no time, since threads share a machine. `docs/scaling.md` has the table.
"""

import argparse
import math
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aent.ops import parallel, token_stats
from aent.subsets import Fraction, Full, Subset, TopK, TopP

SUBSETS: dict[str, Subset] = {
    "full": Full(),
    "fraction": Fraction(drop=0.33),
    "top-k": TopK(k=50),
    "top-p": TopP(mass=0.9),
}


class Threads:
    """`torch.distributed` among threads, as far as `aent.ops.parallel` uses it; counts what rank 0 sends."""

    ReduceOp = SimpleNamespace(SUM="sum", MAX="max")

    def __init__(self, world: int):
        self.world = world
        self.barrier = threading.Barrier(world)
        self.here = threading.local()
        self.slots: list[Tensor] = [torch.empty(0)] * world
        self.calls = {"all_reduce": 0, "all_gather": 0}
        self.bytes = {"all_reduce": 0, "all_gather": 0}

    def is_available(self) -> bool:
        return True

    is_initialized = is_available

    def get_rank(self, group: object = None) -> int:
        return self.here.rank

    def get_world_size(self, group: object = None) -> int:
        return self.world

    def _exchange(self, kind: str, tensor: Tensor) -> list[Tensor]:
        if self.here.rank == 0:
            self.calls[kind] += 1
            self.bytes[kind] += tensor.nbytes
        self.slots[self.here.rank] = tensor.clone()
        self.barrier.wait()
        everything = list(self.slots)
        self.barrier.wait()
        return everything

    def all_reduce(self, tensor: Tensor, op: str = "sum", group: object = None) -> None:
        stacked = torch.stack(self._exchange("all_reduce", tensor))
        tensor.copy_(stacked.sum(0) if op == "sum" else stacked.amax(0))

    def all_gather(self, out: list[Tensor], tensor: Tensor, group: object = None) -> None:
        for slot, value in zip(out, self._exchange("all_gather", tensor), strict=True):
            slot.copy_(value)

    def run(self, work: Callable[[int], Any]) -> list[Any]:
        """Call `work` with each rank, at the same time; raises what the first rank to fail raised."""
        results: list[Any] = [None] * self.world
        errors: list[Exception] = []

        def run_rank(rank: int) -> None:
            self.here.rank = rank
            try:
                results[rank] = work(rank)
            except Exception as error:  # the others wait for this rank: let them go, and report it below
                errors.append(error)
                self.barrier.abort()

        threads = [threading.Thread(target=run_rank, args=(rank,)) for rank in range(self.world)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return results


class Comparison(NamedTuple):
    """What the split vocabulary costs, and its largest differences to the dense answer."""

    group: Threads
    values: float
    gradients: float


def compare(shards: int, vocab: int, rows: int, subset: Subset) -> Comparison:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(rows, vocab, generator=draw) * 3
    targets = torch.randint(0, vocab, (rows,), generator=draw)
    whole = logits.clone().requires_grad_()
    dense = token_stats(whole, targets, subset=subset, backend="reference")
    (dense.logp + dense.entropy).sum().backward()
    group = Threads(shards)
    parts = [part.clone().requires_grad_() for part in logits.tensor_split(shards, -1)]

    def work(rank: int) -> list[Tensor]:
        stats = parallel.parallel_token_stats(parts[rank], targets, subset=subset)
        (stats.logp + stats.entropy).sum().backward()
        return [column.detach() for column in stats]

    real, parallel.dist = parallel.dist, group
    try:
        results = group.run(work)
    finally:
        parallel.dist = real
    for result in results:
        assert all(torch.equal(a, b) for a, b in zip(result, results[0], strict=True)), "ranks differ"
    values = max(float((a - b.detach()).abs().max()) for a, b in zip(results[0], dense, strict=True))
    gradient = torch.cat([torch.as_tensor(part.grad) for part in parts], -1)
    return Comparison(group, values, float((gradient - torch.as_tensor(whole.grad)).abs().max()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shards", default="1,2,8,64", help="numbers of ranks")
    parser.add_argument("--vocab", type=int, default=151_936, help="width of the whole vocabulary")
    parser.add_argument("--rows", type=int, default=64, help="tokens whose statistics are computed")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"vocabulary {args.vocab:,}, {args.rows} rows, float32, torch {torch.__version__}\n")
    print(
        "| ranks | subset | all-reduces | bytes per row | messages, ring | doubling | values | gradients |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for shards in map(int, args.shards.split(",")):
        for name, subset in SUBSETS.items():
            group, values, gradients = compare(shards, args.vocab, args.rows, subset)
            calls, sent = group.calls["all_reduce"], group.bytes["all_reduce"] / args.rows
            ring, doubling = calls * 2 * (shards - 1), calls * math.ceil(math.log2(shards))
            cells = (shards, name, calls, f"{sent:.0f}", ring, doubling, f"{values:.1e}", f"{gradients:.1e}")
            print("|", " | ".join(map(str, cells)), "|")


if __name__ == "__main__":
    main()
