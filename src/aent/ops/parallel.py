"""Token statistics of a vocabulary that is split over ranks (tensor-parallel output layers).

Every rank holds the logits of a slice of the tokens, or the output weight that makes them; logits
are never gathered. Of each row, only numbers are summed over the ranks (`P` = 15 pivots):

    when                     all-reduced per row                     times
    start                    max logit, target logit                 1
    both entropies           Σ e, Σ e y                              1
    subset: search           weight of tokens >= each of P pivots    8 (16 in float64)
    subset: what is kept     weight above, ties, Σ e, Σ e y above    1

That is at most 11 all-reduces and about 1 KB a row, for `CHUNK` logits at a time, and one gather of
two integers a call. Backward needs none from logits, one of [rows, dim] from hidden states.
"""

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from aent.errors import InputError
from aent.ops.checks import require_floating, require_head, require_positive, require_targets
from aent.ops.chunked import _empty_stats, _no_autocast, _outputs, _slices
from aent.ops.head import Head, HeadGradients
from aent.ops.rows import _FLOOR, RowStats, Scratch, differentiate_
from aent.ops.stats import TokenStats
from aent.subsets import Fraction, Full, Subset, TopK, TopP, _sorted

CHUNK = 1 << 25
"""Logits worked on at a time, of the rank that holds most."""
DIGIT = 4
"""Bits of the threshold found by one all-reduce, of ``2**DIGIT - 1`` numbers a row."""


def parallel_token_stats(
    logits_shard: Float[Tensor, "*batch shard"],
    targets: Int[Tensor, "*batch"],
    *,
    subset: Subset = Full(),
    temperature: float = 1.0,
    group: dist.ProcessGroup | None = None,
) -> TokenStats:
    """Compute `aent.ops.token_stats` (nats) of logits whose vocabulary is split over `group`.

    Rank r holds the columns ``[Σ_{i<r} width_i, Σ_{i<=r} width_i)``; widths may differ. Cut columns
    off that only pad the vocabulary: they would count as tokens. `targets` are ids in the whole
    vocabulary. Rows, targets and options are the same on all ranks, and so are the results, bit for
    bit. The gradient is that of a loss which every rank computes alike, not of the ranks' sum.

    Raises:
        InputError: as `aent.ops.token_stats`; also on a subset of your own, ranks that hold
            different numbers of rows, and a process outside `group`.
    """
    require_floating("logits_shard", logits_shard)
    require_positive("temperature", temperature)
    rows = logits_shard.reshape(-1, logits_shard.shape[-1])
    shard = _shard(rows, rows.shape[1], subset, group)
    require_targets(targets, "logits_shard", logits_shard, vocab=shard.vocab)
    head = Head(logits_shard.dtype, temperature)
    stats = _FromLogits.apply(rows, targets.reshape(-1).long(), shard, head)
    return TokenStats(*(x.view(targets.shape) for x in stats))


def parallel_linear_token_stats(
    hidden: Float[Tensor, "*batch dim"],
    weight_shard: Float[Tensor, "shard dim"],
    targets: Int[Tensor, "*batch"],
    *,
    bias: Float[Tensor, " shard"] | None = None,
    subset: Subset = Full(),
    temperature: float = 1.0,
    softcap: float | None = None,
    group: dist.ProcessGroup | None = None,
) -> TokenStats:
    """Compute `aent.ops.linear_token_stats` (nats) of an output weight split over `group` by rows.

    See `parallel_token_stats` for which rank holds what. `hidden` is the same on all ranks. Its
    gradient comes back summed over the ranks (in float32), whole on each of them: it must not be
    reduced again. The gradients of `weight_shard` and `bias` are those of this rank's slice.

    Raises:
        InputError: as `aent.ops.linear_token_stats` and `parallel_token_stats`.
    """
    require_floating("hidden", hidden)
    require_positive("temperature", temperature)
    if softcap is not None:
        require_positive("softcap", softcap)
    require_head(hidden, weight_shard, bias)
    rows = hidden.reshape(-1, hidden.shape[-1])
    shard = _shard(rows, len(weight_shard), subset, group)
    require_targets(targets, "hidden", hidden, vocab=shard.vocab)
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    head = Head(dtype, temperature, softcap)
    stats = _FromHidden.apply(rows, weight_shard, bias, targets.reshape(-1).long(), shard, head)
    return TokenStats(*(x.view(targets.shape) for x in stats))


class _Goal(NamedTuple):
    """What the tokens at or above the threshold must weigh together, and what one token weighs."""

    needed: float
    by_mass: bool
    """A token weighs its probability, not 1."""


class _Shard(NamedTuple):
    """The slice of the vocabulary that this rank holds."""

    group: dist.ProcessGroup | None
    vocab: int
    start: int
    width: int
    step: int
    """Rows worked on at a time: the same on all ranks, as they meet in collectives."""
    goal: _Goal | None

    def columns(self, targets: Int[Tensor, " rows"]) -> Int[Tensor, " rows"]:
        """Return the columns of the targets here; one past the last for those of other ranks."""
        columns = targets - self.start
        return columns.masked_fill_((columns < 0) | (columns >= self.width), self.width)

    def workspace(self, stats: Tensor) -> Float[Tensor, "step columns"]:
        """Make room for the logits of some rows, and a column for the tokens of other ranks."""
        return stats.new_empty(min(self.step, len(stats)), self.width + 1)

    def sum(self, *numbers: Tensor) -> tuple[Tensor, ...]:
        """Sum columns of numbers over the ranks, in float64."""
        summed = torch.cat(numbers, -1).double()
        dist.all_reduce(summed, group=self.group)
        return summed.split([x.shape[-1] for x in numbers], -1)


def _shard(rows: Tensor, width: int, subset: Subset, group: dist.ProcessGroup | None) -> _Shard:
    """Let the ranks know of each other's widths."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_rank(group) < 0:
        raise InputError(
            "this process is in no process group that holds the vocabulary; call"
            " torch.distributed.init_process_group first and give a `group` of which it is part,"
            " or use the doors of aent.ops, which need no group."
        )
    here = torch.tensor([len(rows), width], device=rows.device)
    there = [torch.empty_like(here) for _ in range(dist.get_world_size(group))]
    dist.all_gather(there, here, group=group)
    lengths, widths = zip(*torch.stack(there).tolist(), strict=True)
    if len(set(lengths)) > 1:
        raise InputError(
            f"the ranks hold {list(lengths)} rows; all ranks of `group` must hold the same rows,"
            " each for its own slice of the vocabulary."
        )
    vocab, start = sum(widths), sum(widths[: dist.get_rank(group)])
    step = max(1, CHUNK // (max(widths) + 1))
    return _Shard(group, vocab, start, width, step, _goal(subset, vocab))


def _goal(subset: Subset, vocab: int) -> _Goal | None:
    """Return what a subset keeps; None if that is everything."""
    if type(subset) is Full:
        return None
    if type(subset) is TopP:
        return None if subset.mass == 1 else _Goal(subset.mass, by_mass=True)
    if type(subset) is Fraction:
        return _to_keep(vocab - int(subset.drop * vocab), vocab)
    if type(subset) is TopK:
        return _to_keep(subset.k, vocab)
    raise InputError(
        f"{subset!r} cuts rows that it sees whole, but here no rank holds a whole row."
        " Use Full, Fraction, TopK or TopP; or gather the logits and call aent.ops.token_stats."
    )


def _to_keep(kept: int, vocab: int) -> _Goal | None:
    return None if kept >= vocab else _Goal(kept, by_mass=False)


class _FromLogits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, shard: _Shard, head: Head) -> tuple[Tensor, ...]:
        ctx.shard, ctx.head = shard, head
        stats = _empty_stats(logits)
        z = shard.workspace(stats)
        with _no_autocast(logits):
            for rows in _slices(len(logits), shard.step):
                block, tokens = _views(z, rows)
                head.scale_(tokens.copy_(logits[rows]))
                _measure_(block, targets[rows], shard, stats[rows])
        ctx.save_for_backward(logits, targets, stats)
        return _outputs(ctx, stats)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        logits, targets, stats = ctx.saved_tensors
        shard: _Shard = ctx.shard
        given = torch.stack(grads[:2], -1) / ctx.head.temperature
        grad = torch.empty_like(logits)
        z, clamped = shard.workspace(stats), shard.goal is not None
        scratch = Scratch(torch.empty_like(z), torch.empty_like(z))
        with _no_autocast(logits):
            for rows in _slices(len(logits), shard.step):
                block, tokens = _views(z, rows)
                columns = shard.columns(targets[rows])
                ctx.head.scale_(tokens.copy_(logits[rows]))
                differentiate_(block, columns, stats[rows], given[rows], scratch, clamped)
                grad[rows] = tokens
        return grad, None, None, None


class _FromHidden(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        shard: _Shard,
        head: Head,
    ) -> tuple[Tensor, ...]:
        ctx.shard, ctx.head = shard, head
        stats = _empty_stats(hidden)
        z = shard.workspace(stats)
        with _no_autocast(hidden):
            h, w, b = head.cast(hidden, weight, bias)
            for rows in _slices(len(hidden), shard.step):
                block, tokens = _views(z, rows)
                head.scale_(head.logits_(tokens, h[rows], w, b))
                _measure_(block, targets[rows], shard, stats[rows])
        ctx.save_for_backward(hidden, weight, bias, targets, stats)
        return _outputs(ctx, stats)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets, stats = ctx.saved_tensors
        shard: _Shard = ctx.shard
        head: Head = ctx.head
        given = torch.stack(grads[:2], -1) / head.temperature
        made = HeadGradients(ctx.needs_input_grad, hidden, weight, bias, stats.dtype)
        z, clamped = shard.workspace(stats), shard.goal is not None
        scratch = Scratch(torch.empty_like(z), torch.empty_like(z))
        with _no_autocast(hidden):
            h, w, b = head.cast(hidden, weight, bias)
            for rows in _slices(len(hidden), shard.step):
                block, tokens = _views(z, rows)
                columns = shard.columns(targets[rows])
                slope = head.scale_(head.logits_(tokens, h[rows], w, b))
                differentiate_(block, columns, stats[rows], given[rows], scratch, clamped)
                if slope is not None:
                    tokens.mul_(slope)
                made.add_(rows, tokens, h[rows], w)
        if made.hidden is not None:
            made.hidden = made.hidden.to(stats.dtype).contiguous()
            dist.all_reduce(made.hidden, group=shard.group)
        return *made.finish(hidden, weight, bias), None, None, None


def _views(z: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
    """Return the part of the workspace for some rows, and in it the columns of this rank's tokens.

    The column after them stands for the targets that other ranks hold: it has no probability.
    """
    block = z[: rows.stop - rows.start]
    block[:, -1] = -torch.inf
    return block, block[:, :-1]


def _measure_(
    z: Float[Tensor, "rows columns"],
    targets: Int[Tensor, " rows"],
    shard: _Shard,
    out: Float[Tensor, "rows 8"],
) -> None:
    """Fill `out` with the statistics of the rows `z` over all ranks; overwrites `z`."""
    extremes = torch.cat([z.amax(-1, keepdim=True), z.gather(-1, shard.columns(targets)[:, None])], -1)
    dist.all_reduce(extremes, dist.ReduceOp.MAX, group=shard.group)
    peak, target = extremes.split(1, -1)
    tokens = z[:, :-1]
    y = tokens.sub(peak).clamp_(min=_FLOOR)
    e = y.exp()
    total, moment = shard.sum(e.sum(-1, keepdim=True), torch.linalg.vecdot(e, y)[:, None])
    logp, full_entropy = target - peak - total.log(), _entropy(total, moment)
    goal = shard.goal
    if goal is None:
        threshold, share = torch.full_like(peak, -torch.inf), torch.ones_like(peak)
        kept_total, entropy = total, full_entropy
    else:
        rank = _Ranking(tokens, peak, total, goal)
        threshold = _search(rank, goal.needed, shard)
        e.mul_(tokens.gt_(threshold))  # what is tied at the threshold is added below, alike on all ranks
        sums = e.sum(-1, keepdim=True), torch.linalg.vecdot(e, y)[:, None]
        above, tied, kept_total, moment = shard.sum(rank.above(threshold), rank.tied(threshold), *sums)
        places = ((goal.needed - above) / rank.unit(threshold)).ceil().minimum(tied)
        share = places / tied.clamp(min=1)
        y_cut = (threshold - peak).clamp_(min=_FLOOR)
        at_cut = places * y_cut.exp()
        kept_total = kept_total + at_cut
        entropy = _entropy(kept_total, moment + at_cut * y_cut)
    stats = RowStats(logp, entropy, full_entropy, peak, total, kept_total, threshold, share)
    torch.cat([x.to(out.dtype) for x in stats], -1, out=out)


def _entropy(total: Tensor, moment: Tensor) -> Tensor:
    return (total.log() - moment / total).clamp_(min=0)


class _Ranking:
    """The tokens of this rank in order: what those above a logit weigh is looked up, not summed."""

    def __init__(self, tokens: Tensor, peak: Tensor, total: Tensor, goal: _Goal) -> None:
        self.falling = _sorted(tokens.neg())  # negated, so the best token comes first
        self.peak, self.total = peak, total.to(peak.dtype)
        self.mass = None
        if goal.by_mass:
            masses = self._probability(self.falling.neg()).cumsum(-1, dtype=torch.float64)
            self.mass = torch.nn.functional.pad(masses, (1, 0))

    def at_least(self, logits: Tensor) -> Tensor:
        """Weigh the tokens at or above each of some logits."""
        return self._weigh(self._count(logits, right=True))

    def above(self, logits: Tensor) -> Tensor:
        """Weigh the tokens above."""
        return self._weigh(self._count(logits, right=False))

    def tied(self, logits: Tensor) -> Tensor:
        """Count the tokens with just these logits."""
        return self._count(logits, right=True) - self._count(logits, right=False)

    def unit(self, logits: Tensor) -> Tensor:
        """Return the weight of one token with these logits."""
        probability = self._probability(logits).double()
        return torch.ones_like(probability) if self.mass is None else probability

    def _probability(self, logits: Tensor) -> Tensor:
        return (logits - self.peak).exp_().div_(self.total)

    def _count(self, logits: Tensor, *, right: bool) -> Tensor:
        return torch.searchsorted(self.falling, logits.neg(), right=right)

    def _weigh(self, count: Tensor) -> Tensor:
        return count if self.mass is None else self.mass.gather(-1, count)


_BITS = {torch.float32: torch.int32, torch.float64: torch.int64}


def _search(rank: _Ranking, needed: float, shard: _Shard) -> Float[Tensor, "rows 1"]:
    """Return the largest logit of each row at or above which the tokens weigh what is needed.

    Floats are in the order of their bits, read as sign and magnitude: `DIGIT` bits are found at a
    time, the highest first. That is exact, and takes as long whatever the logits are.
    """
    dtype = rank.peak.dtype
    infinity = int(torch.tensor(torch.inf, dtype=dtype).view(_BITS[dtype]))
    key = torch.full_like(rank.peak, -infinity, dtype=torch.long)
    digits = torch.arange(1, 1 << DIGIT, device=key.device)
    for shift in range(torch.finfo(dtype).bits - DIGIT, -1, -DIGIT):
        tried = (key + (digits << shift)).clamp_(max=infinity)
        (weight,) = shard.sum(rank.at_least(_logit(tried, dtype)))
        key += (weight >= needed).sum(-1, keepdim=True) << shift
    return _logit(key, dtype)


def _logit(key: Int[Tensor, "rows n"], dtype: torch.dtype) -> Float[Tensor, "rows n"]:
    magnitude = key.abs().to(_BITS[dtype]).view(dtype)
    return torch.where(key < 0, -magnitude, magnitude)
