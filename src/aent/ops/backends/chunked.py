"""The portable backend: block by block in torch and numpy (`aent.ops.closed_form`)."""

from collections.abc import Iterator

from jaxtyping import Float, Int
from torch import Tensor

from aent.ops.backend import Arithmetic, statistics_dtype
from aent.ops.closed_form import Scratch, differentiate_, measure_, slices
from aent.subsets import rule_of

BLOCK = 1 << 18
"""Elements processed at a time on a CPU: they fit a core's cache, and are many for one call."""

CHUNK = 1 << 20
"""float32 elements in a chunk of logits of the linear doors on a CPU; twice as many if they have 16 bits."""

CHUNK_ROWS = 128
"""Fewest float32 rows in a chunk on a CPU: every chunk reads and writes the whole gradient of the weight."""

ACCELERATOR = 1 << 26
"""Elements of a block and of a chunk on other devices, where calls cost more than memory."""


class Chunked(Arithmetic):
    """Any device, any floating point dtype, any subset."""

    def chunk_rows(self, z: Tensor, vocab: int) -> int:
        """Return how many rows of logits the linear door computes at a time."""
        if z.device.type != "cpu":
            return ACCELERATOR // vocab
        return max(CHUNK_ROWS, CHUNK // vocab) * 4 // self.head.dtype.itemsize

    def measure(
        self, z: Float[Tensor, "rows vocab"], targets: Int[Tensor, " rows"], out: Float[Tensor, "rows 8"]
    ) -> None:
        """Fill `out` with the columns of `RowStats`."""
        for rows, block, scratch in _blocks(z):
            self.head.scale_(block.copy_(z[rows]))
            measure_(block, targets[rows], self.subset, scratch, out[rows])

    def differentiate(
        self,
        z: Float[Tensor, "rows vocab"],
        targets: Int[Tensor, " rows"],
        kept: Float[Tensor, "rows 6"],
        grads: Float[Tensor, "rows 2"],
        out: Float[Tensor, "rows vocab"],
    ) -> None:
        """Fill `out`, which may be `z`, with the gradient with respect to `z`."""
        keeps_all = rule_of(self.subset, z.shape[1]).kind == "all"
        for rows, block, scratch in _blocks(z):
            slope = self.head.scale_(block.copy_(z[rows]))
            differentiate_(block, kept[rows], grads[rows], scratch, keeps_all=keeps_all)
            block.scatter_add_(-1, targets[rows, None], grads[rows, :1])
            out[rows] = block if slope is None else block.mul_(slope)


def _blocks(z: Float[Tensor, "rows vocab"]) -> Iterator[tuple[slice, Tensor, Scratch]]:
    """Yield some rows at a time, with memory for three blocks that is reused."""
    size = BLOCK if z.device.type == "cpu" else ACCELERATOR
    step = max(1, min(len(z), size // z.shape[1]))
    room = [z.new_empty(step, z.shape[1], dtype=statistics_dtype(z)) for _ in range(3)]
    for rows in slices(len(z), step):
        block, e, w = (x[: rows.stop - rows.start] for x in room)
        yield rows, block, Scratch(e, w)
