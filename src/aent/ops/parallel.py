"""Token statistics of a vocabulary that is split over ranks (tensor-parallel output layers).

Every rank holds the logits of a slice of the vocabulary, or the slice of the output weight that computes
them. Logits are never gathered; the ranks only sum a few numbers per row (`P` = 15 pivots):

    when                     all-reduced per row                     times
    start                    max logit, target logit                 1
    both entropies           Σ e, Σ e y                              1
    subset: search           weight of tokens >= each of P pivots    8 (16 in float64)
    subset: what is kept     weight above, ties, Σ e, Σ e y above    1

That is at most 11 all-reduces for every `CHUNK` logits, about 1 KB per row, and one gather of two integers
per call. Backward needs no all-reduce from logits, and one of [rows, dim] from hidden states.
"""

from typing import NamedTuple

import torch
import torch.distributed as dist
from jaxtyping import Bool, Float, Int
from torch import Tensor

from aent.errors import InputError
from aent.ops.autograd import from_hidden, from_logits, head_of
from aent.ops.backend import Arithmetic, statistics_dtype
from aent.ops.checks import require_floating, require_head, require_positive, require_targets
from aent.ops.closed_form import FLOOR, RowStats, Scratch, differentiate_, entropy_of, slices
from aent.ops.head import Head
from aent.ops.stats import TokenStats
from aent.subsets import Full, Rule, Subset, ascending, rule_of

CHUNK = 1 << 25
"""Number of logits processed at a time, on the rank with the widest slice."""
DIGIT = 4
"""Bits of the threshold that one all-reduce of ``2**DIGIT - 1`` numbers per row determines."""


def parallel_token_stats(
    logits_shard: Float[Tensor, "*batch shard"],
    targets: Int[Tensor, "*batch"],
    *,
    subset: Subset = Full(),
    temperature: float = 1.0,
    group: dist.ProcessGroup | None = None,
) -> TokenStats:
    """Compute `aent.ops.token_stats` (nats) of logits whose vocabulary is split over `group`.

    Rank r holds the columns ``[Σ_{i<r} width_i, Σ_{i<=r} width_i)``; widths may differ. Remove columns that
    only pad the vocabulary, because they would count as tokens. `targets` are ids in the whole vocabulary.
    Rows, targets and options must be the same on all ranks; the results then are too, bit for bit. The
    gradient is that of one loss which every rank computes identically, not of a sum over ranks.

    Raises:
        InputError: as `aent.ops.token_stats`; also on a subset of your own, ranks that hold
            different numbers of rows, and a process outside `group`.
    """
    require_floating("logits_shard", logits_shard)
    require_positive("temperature", temperature)
    rows = logits_shard.reshape(-1, logits_shard.shape[-1])
    shard = _shard(rows, rows.shape[1], subset, group)
    require_targets(targets, "logits_shard", logits_shard, vocab=shard.vocab)
    arithmetic = _Parallel(subset, Head(logits_shard.dtype, temperature), shard)
    stats = from_logits(arithmetic, rows, targets.reshape(-1).long(), overwrite=False)
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

    See `parallel_token_stats` for which rank holds what. `hidden` is the same on all ranks. Its gradient is
    already summed over the ranks (in float32) on each of them, so do not reduce it again. The gradients of
    `weight_shard` and `bias` are those of this rank's slice.

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
    arithmetic = _Parallel(subset, head_of(hidden, temperature, softcap), shard)
    stats = from_hidden(arithmetic, rows, weight_shard, bias, targets.reshape(-1).long())
    return TokenStats(*(x.view(targets.shape) for x in stats))


class _Shard(NamedTuple):
    """The slice of the vocabulary that this rank holds."""

    group: dist.ProcessGroup | None
    vocab: int
    start: int
    width: int
    step: int
    """Rows processed at a time: the same on all ranks, because they meet in collectives."""
    rule: Rule
    """What the subset keeps of the whole vocabulary."""

    def columns(self, targets: Int[Tensor, " rows"]) -> tuple[Int[Tensor, "rows 1"], Bool[Tensor, "rows 1"]]:
        """Return the columns of the targets and a mask of those on this rank; other columns are arbitrary."""
        columns = (targets - self.start)[:, None]
        here = (columns >= 0) & (columns < self.width)
        return columns.clamp(0, self.width - 1), here

    def sum(self, *numbers: Tensor) -> tuple[Tensor, ...]:
        """Sum columns of numbers over the ranks in float64."""
        summed = torch.cat(numbers, -1).double()
        dist.all_reduce(summed, group=self.group)
        return summed.split([x.shape[-1] for x in numbers], -1)


def _shard(rows: Tensor, width: int, subset: Subset, group: dist.ProcessGroup | None) -> _Shard:
    """Exchange the widths of the ranks and return this rank's shard; raises `InputError`."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_rank(group) < 0:
        raise InputError(
            "this process belongs to no process group that holds the vocabulary; call"
            " torch.distributed.init_process_group first and pass a `group` that it belongs to,"
            " or use the doors of aent.ops, which need no group."
        )
    shape = torch.tensor([len(rows), width], device=rows.device)
    shapes = [torch.empty_like(shape) for _ in range(dist.get_world_size(group))]
    dist.all_gather(shapes, shape, group=group)
    lengths, widths = zip(*torch.stack(shapes).tolist(), strict=True)
    if len(set(lengths)) > 1:
        raise InputError(
            f"the ranks hold {list(lengths)} rows; all ranks of `group` must hold the same rows,"
            " each of them for its own slice of the vocabulary."
        )
    vocab, start = sum(widths), sum(widths[: dist.get_rank(group)])
    step = max(1, CHUNK // max(widths))
    rule = rule_of(subset, vocab)
    if rule.kind == "own":
        raise InputError(
            f"{subset!r} cuts whole rows, but here no rank holds a whole row."
            " Use Full, Fraction, TopK or TopP; or gather the logits and call aent.ops.token_stats."
        )
    return _Shard(group, vocab, start, width, step, rule)


class _Parallel(Arithmetic):
    """Any device; the subsets whose `Rule` is known. All ranks process the same rows at the same time."""

    def __init__(self, subset: Subset, head: Head, shard: _Shard) -> None:
        super().__init__(subset, head)
        self.shard = shard

    def chunk_rows(self, z: Tensor, vocab: int) -> int:
        """Return how many rows are processed at a time: the same on all ranks."""
        return self.shard.step

    def measure(
        self, z: Float[Tensor, "rows shard"], targets: Int[Tensor, " rows"], out: Float[Tensor, "rows 8"]
    ) -> None:
        """Fill `out` with the columns of `RowStats`, for whole rows."""
        for rows in slices(len(z), self.shard.step):
            block = z[rows].to(out.dtype, copy=True)
            self.head.scale_(block)
            _measure(block, targets[rows], self.shard, out[rows])

    def differentiate(
        self,
        z: Float[Tensor, "rows shard"],
        targets: Int[Tensor, " rows"],
        kept: Float[Tensor, "rows 6"],
        grads: Float[Tensor, "rows 2"],
        out: Float[Tensor, "rows shard"],
    ) -> None:
        """Fill `out`, which may be `z`, with the gradient with respect to this rank's logits."""
        for rows in slices(len(z), self.shard.step):
            block = z[rows].to(kept.dtype, copy=True)
            slope = self.head.scale_(block)
            scratch = Scratch(torch.empty_like(block), torch.empty_like(block))
            keeps_all = self.shard.rule.kind == "all"
            differentiate_(block, kept[rows], grads[rows], scratch, keeps_all=keeps_all)
            columns, here = self.shard.columns(targets[rows])
            block.scatter_add_(-1, columns, grads[rows, :1] * here)
            out[rows] = block if slope is None else block.mul_(slope)

    def summed(self, grad_hidden: Float[Tensor, "rows dim"]) -> Float[Tensor, "rows dim"]:
        """Sum the gradient of the hidden states over the ranks, in the dtype of statistics."""
        whole = grad_hidden.to(statistics_dtype(grad_hidden)).contiguous()
        dist.all_reduce(whole, group=self.shard.group)
        return whole


def _measure(
    tokens: Float[Tensor, "rows shard"],
    targets: Int[Tensor, " rows"],
    shard: _Shard,
    out: Float[Tensor, "rows 8"],
) -> None:
    """Fill `out` with the statistics of the rows over all ranks; overwrites `tokens`."""
    columns, here = shard.columns(targets)
    target = tokens.gather(-1, columns).masked_fill_(~here, -torch.inf)
    extremes = torch.cat([tokens.amax(-1, keepdim=True), target], -1)
    dist.all_reduce(extremes, dist.ReduceOp.MAX, group=shard.group)
    peak, target = extremes.split(1, -1)
    y = tokens.sub(peak).clamp_(min=FLOOR)
    e = y.exp()
    total, moment = shard.sum(e.sum(-1, keepdim=True), torch.linalg.vecdot(e, y)[:, None])
    logp, full_entropy = target - peak - total.log(), entropy_of(total, moment)
    if shard.rule.kind == "all":
        threshold, share = torch.full_like(peak, -torch.inf), torch.ones_like(peak)
        kept_total, entropy = total, full_entropy
    else:
        by_mass = shard.rule.kind == "mass"
        needed = shard.rule.mass if by_mass else shard.rule.kept
        rank = _Ranking(tokens, peak, total, by_mass=by_mass)
        threshold = _search(rank, needed, shard)
        e.mul_(tokens.gt_(threshold))  # tokens tied at it are added below, identically on all ranks
        sums = e.sum(-1, keepdim=True), torch.linalg.vecdot(e, y)[:, None]
        above, tied, kept_total, moment = shard.sum(rank.above(threshold), rank.tied(threshold), *sums)
        places = ((needed - above) / rank.unit(threshold)).ceil().minimum(tied)
        share = places / tied.clamp(min=1)
        y_cut = (threshold - peak).clamp_(min=FLOOR)
        at_cut = places * y_cut.exp()
        kept_total = kept_total + at_cut
        entropy = entropy_of(kept_total, moment + at_cut * y_cut)
    stats = RowStats(logp, full_entropy, entropy, peak, total, kept_total, threshold, share)
    torch.cat([x.to(out.dtype) for x in stats], -1, out=out)


class _Ranking:
    """The tokens of this rank in order, so that the weight above a logit is looked up, not summed.

    A token weighs 1, or `by_mass` its probability.
    """

    def __init__(self, tokens: Tensor, peak: Tensor, total: Tensor, *, by_mass: bool) -> None:
        self.falling = ascending(tokens.neg())  # negated, so the best token comes first
        self.peak, self.total = peak, total.to(peak.dtype)
        self.mass = None
        if by_mass:
            masses = self._probability(self.falling.neg()).cumsum(-1, dtype=torch.float64)
            self.mass = torch.nn.functional.pad(masses, (1, 0))

    def at_least(self, logits: Tensor) -> Tensor:
        """Return the weight of the tokens at or above each of some logits."""
        return self._weigh(self._count(logits, right=True))

    def above(self, logits: Tensor) -> Tensor:
        """Return the weight of the tokens above each of some logits."""
        return self._weigh(self._count(logits, right=False))

    def tied(self, logits: Tensor) -> Tensor:
        """Count the tokens that have exactly these logits."""
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
    """Return the largest logit of each row at or above which the tokens weigh at least `needed`.

    Floats are ordered by their bits, read as sign and magnitude. The search determines `DIGIT` bits at a
    time, the highest first. It is exact, and its cost does not depend on the logits.
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
