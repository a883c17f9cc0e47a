# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportOperatorIssue=false, reportGeneralTypeIssues=false
"""The kernels of the Triton backend: one walk over each row in forward, one read and one write in backward.

**The cut is exact.** Raw logits are compared (dividing by a temperature keeps their order), by integer keys
in the same order. A sample of the row proposes a bracket of keys. One walk over the row computes every sum,
counts the tokens below the bracket and queues those inside it. If the cut is inside and the queues had room
for all of them, the exact cut is found among the queued tokens. Otherwise the counts say on which side of the
bracket the cut is, and the next bracket goes there. Each walk shrinks the interval of keys that is known to
contain the cut, so the search ends at the cut. A sample misses about once in 10^4 rows; only then is a row
walked again, from the L2 cache.

**The mass of TopP** is added in integers, in units of 2^-42 of the largest probability, so that the cut does
not depend on the order of additions. It costs two more walks, for the largest logit and the whole mass, and
one walk for each halving of the bracket until its tokens fit into the queues (about 10).

**Sums** are relative to the target's logit or the largest logit of the sample. If the largest logit of the
row turns out to be more than 2^8 times as probable, the row is walked again relative to it.

Names: p_ pointers, b_ blocks in registers, m_ masks, i_ indices. Nothing is added atomically.
"""

import math

import triton
import triton.language as tl

__all__ = ["backward", "forward"]

LN2 = tl.constexpr(math.log(2))
FLOOR = tl.constexpr(-1e4)  # stands in for -inf: 2 to the power of it is 0, and 0 times it is 0
LOWEST, HIGHEST = tl.constexpr(-2139095041), tl.constexpr(2139095040)  # the keys of -inf and inf
SLACK = tl.constexpr(8.0)  # bits
UNIT_BITS = tl.constexpr(42.0)
UNIT = tl.constexpr(2.0**42)  # a mass of 1: 2^20 tokens of it fit int64
COLUMNS = tl.constexpr(8)  # of aent.ops.closed_form.RowStats
KEPT = tl.constexpr(6)  # of aent.ops.closed_form.Kept
ALL = tl.constexpr(tl.PropagateNan.ALL)


@triton.jit
def _key(b_x, SHIFT: tl.constexpr):
    """Integers in the order of the floats. The low SHIFT bits are always 0 (bfloat16 16, float16 13)."""
    b_bits = (b_x + 0.0).to(tl.int32, bitcast=True)  # -0 becomes 0
    return (b_bits ^ ((b_bits >> 31) & 0x7FFFFFFF)) >> SHIFT


@triton.jit
def _value(key, SHIFT: tl.constexpr):
    key = key << SHIFT
    key = tl.where(key < 0, key | ((1 << SHIFT) - 1), key)
    return (key ^ ((key >> 31) & 0x7FFFFFFF)).to(tl.float32, bitcast=True)


@triton.jit
def _bits(b_x, peak, scale):
    """Exponents of 2. No fused multiply-add, so that x - peak is exact where it matters."""
    return tl.maximum((b_x - peak) * scale, FLOOR, propagate_nan=ALL)


@triton.jit
def _weight(b_e, KIND: tl.constexpr):
    """What a token adds to the tally that the quota limits: 1 or its mass."""
    if KIND == "mass":
        return (b_e * UNIT).to(tl.int64)
    else:
        return tl.full(b_e.shape, 1, tl.int32)


@triton.jit
def _select(b_key, b_weight, quota, lo, hi):
    """The smallest key in [lo, hi] up to which the weights sum to more than the quota."""
    while lo < hi:
        middle = (lo & hi) + ((lo ^ hi) >> 1)  # lo + hi might overflow
        if tl.sum(tl.where(b_key <= middle, b_weight, 0), axis=0) > quota:
            hi = middle
        else:
            lo = middle + 1
    return lo


@triton.jit
def _sample(p_row, V, SAMPLE: tl.constexpr, SEGMENT: tl.constexpr, SHIFT: tl.constexpr):
    i = tl.arange(0, SAMPLE)
    stride = (V - SEGMENT) // (SAMPLE // SEGMENT - 1)
    b_x = tl.load(p_row + (i // SEGMENT) * stride + i % SEGMENT).to(tl.float32)
    return _key(b_x, SHIFT)


@triton.jit
def _largest(p_row, V, BLOCK: tl.constexpr):
    b_most = tl.full((BLOCK,), -float("inf"), tl.float32)
    for i_start in range(0, V, BLOCK):
        i_col = i_start + tl.arange(0, BLOCK)
        b_x = tl.load(p_row + i_col, mask=i_col < V, other=-float("inf")).to(tl.float32)
        b_most = tl.maximum(b_most, b_x)
    return tl.max(b_most, axis=0)


@triton.jit
def _mass(p_row, V, peak, scale, BLOCK: tl.constexpr):
    b_mass = tl.zeros((BLOCK,), tl.int64)
    for i_start in range(0, V, BLOCK):
        i_col = i_start + tl.arange(0, BLOCK)
        b_x = tl.load(p_row + i_col, mask=i_col < V, other=-float("inf")).to(tl.float32)
        b_mass += _weight(tl.exp2(_bits(b_x, peak, scale)), "mass")
    return tl.sum(b_mass, axis=0)


@triton.jit
def _walk(
    p_row, V, peak, scale, lo, hi, p_queue,
    BLOCK: tl.constexpr, DEPTH: tl.constexpr, KIND: tl.constexpr,
):  # fmt: skip
    """Sums over the row and above hi; tallies from lo up and in [lo, hi]; elements to queue per lane."""
    i_lane = tl.arange(0, BLOCK)
    b_most = tl.full((BLOCK,), -float("inf"), tl.float32)
    b_total = tl.zeros((BLOCK,), tl.float32)
    b_moment = tl.zeros((BLOCK,), tl.float32)
    b_above = tl.zeros((BLOCK,), tl.float32)
    b_above_moment = tl.zeros((BLOCK,), tl.float32)
    b_reach = tl.zeros((BLOCK,), tl.int64 if KIND == "mass" else tl.int32)
    b_inside = tl.zeros((BLOCK,), tl.int64 if KIND == "mass" else tl.int32)
    i_slot = i_lane  # the next free place of each lane's own queue
    for i_start in range(0, V, BLOCK):
        i_col = i_start + i_lane
        m_col = i_col < V
        b_x = tl.load(p_row + i_col, mask=m_col, other=-float("inf")).to(tl.float32)
        b_t = _bits(b_x, peak, scale)
        b_e = tl.exp2(b_t)
        b_most = tl.maximum(b_most, b_x)
        b_total += b_e
        b_moment += b_e * b_t
        if KIND != "all":
            m_above = b_x > hi
            m_reach = m_col & (b_x >= lo)
            m_inside = m_reach & ~m_above
            b_kept = tl.where(m_above, b_e, 0.0)
            b_above += b_kept
            b_above_moment += b_kept * b_t
            b_weight = _weight(b_e, KIND)
            b_reach += tl.where(m_reach, b_weight, 0)
            tl.store(p_queue + i_slot, b_x, mask=m_inside & (i_slot < DEPTH * BLOCK))
            i_slot += tl.where(m_inside, BLOCK, 0)
            if KIND == "mass":
                b_inside += tl.where(m_inside, b_weight, 0)
    b_count = i_slot // BLOCK
    if KIND != "mass":
        b_inside = b_count
    return (
        tl.max(b_most, axis=0),
        tl.sum(b_total, axis=0),
        tl.sum(b_moment, axis=0),
        tl.sum(b_above, axis=0),
        tl.sum(b_above_moment, axis=0),
        tl.sum(b_reach, axis=0),
        tl.sum(b_inside, axis=0),
        b_count,
    )


@triton.jit
def _select_queued(
    p_queue, b_count, quota, peak, scale, lo, hi,
    BLOCK: tl.constexpr, KIND: tl.constexpr, SHIFT: tl.constexpr,
):  # fmt: skip
    """As `_select`, among the queued tokens, which are read from cache once for each halving of [lo, hi]."""
    i_lane = tl.arange(0, BLOCK)
    while lo < hi:
        middle = (lo & hi) + ((lo ^ hi) >> 1)
        b_tally = tl.zeros((BLOCK,), tl.int64 if KIND == "mass" else tl.int32)
        for j in range(0, tl.max(b_count, axis=0)):
            m_lane = j < b_count
            b_x = tl.load(p_queue + j * BLOCK + i_lane, mask=m_lane, other=-float("inf"))
            b_weight = _weight(tl.exp2(_bits(b_x, peak, scale)), KIND)
            b_tally += tl.where(m_lane & (b_x <= _value(middle, SHIFT)), b_weight, 0)
        if tl.sum(b_tally, axis=0) > quota:
            hi = middle
        else:
            lo = middle + 1
    return lo


@triton.jit
def _settle(
    p_queue, b_count, threshold, peak, scale, BLOCK: tl.constexpr, KIND: tl.constexpr
):  # fmt: skip
    """Sums over the queued tokens above the threshold, tally of those below, number of those tied at it."""
    i_lane = tl.arange(0, BLOCK)
    b_above = tl.zeros((BLOCK,), tl.float32)
    b_above_moment = tl.zeros((BLOCK,), tl.float32)
    b_below = tl.zeros((BLOCK,), tl.int64 if KIND == "mass" else tl.int32)
    b_tied = tl.zeros((BLOCK,), tl.int32)
    for j in range(0, tl.max(b_count, axis=0)):
        m_lane = j < b_count
        b_x = tl.load(p_queue + j * BLOCK + i_lane, mask=m_lane, other=-float("inf"))
        b_t = _bits(b_x, peak, scale)
        b_e = tl.exp2(b_t)
        b_kept = tl.where(b_x > threshold, b_e, 0.0)
        b_above += b_kept
        b_above_moment += b_kept * b_t
        b_below += tl.where(m_lane & (b_x < threshold), _weight(b_e, KIND), 0)
        b_tied += (m_lane & (b_x == threshold)).to(tl.int32)
    return (
        tl.sum(b_above, axis=0),
        tl.sum(b_above_moment, axis=0),
        tl.sum(b_below, axis=0),
        tl.sum(b_tied, axis=0),
    )


@triton.jit
def _first_bracket(
    p_row, p_out, V, target, scale, dropped, rank_lo, rank, rank_hi,
    KIND: tl.constexpr, MASS: tl.constexpr, SHIFT: tl.constexpr, SAMPLE: tl.constexpr,
    SEGMENT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The first bracket [left, right], a key to try if it fails, the quota, the whole tally, and a peak."""
    left, right, pivot = LOWEST >> SHIFT, HIGHEST >> SHIFT, (HIGHEST >> SHIFT) + 1
    quota, whole, peak = dropped, V, target
    if KIND == "own":
        left = _key(tl.load(p_out + 6), SHIFT)
        right = left
    if KIND == "count" and SAMPLE > 0:
        b_key = _sample(p_row, V, SAMPLE, SEGMENT, SHIFT)
        least = tl.min(b_key, axis=0)
        most_key = tl.max(b_key, axis=0)
        peak = tl.maximum(peak, _value(most_key, SHIFT))
        b_one = tl.full((SAMPLE,), 1, tl.int32)
        pivot = _select(b_key, b_one, rank, least, most_key)
        if rank_lo >= 0:
            left = _select(b_key, b_one, rank_lo, least, pivot)
        if rank_hi < SAMPLE:
            right = _select(b_key, b_one, rank_hi, pivot, most_key)
    if KIND == "mass":
        peak = _largest(p_row, V, BLOCK)
        whole = _mass(p_row, V, peak, scale, BLOCK)
        quota = whole - tl.ceil(whole.to(tl.float64) * MASS).to(tl.int64)
        # V tokens half as probable as quota / V are together below the quota
        far = tl.log2(quota.to(tl.float32) / V) - UNIT_BITS - 1
        left = _key(peak + far / scale, SHIFT)
        right = _key(peak, SHIFT)
    return left, right, pivot, quota, whole, peak


@triton.jit
def _search(
    p_row, V, peak, scale, left, right, pivot, quota, whole, p_queue,
    KIND: tl.constexpr, SHIFT: tl.constexpr, BLOCK: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Walk over the row until its largest logit is near the peak and the queues hold a bracket of the cut."""
    lo, hi = LOWEST >> SHIFT, HIGHEST >> SHIFT  # [lo, hi] certainly contains the cut
    total, moment, above, above_moment = 0.0, 0.0, 0.0, 0.0
    below = quota * 0
    b_count = tl.zeros((BLOCK,), tl.int32)
    searching = 1
    while searching > 0:
        most, total, moment, above, above_moment, reach, inside, b_count = _walk(
            p_row, V, peak, scale, _value(left, SHIFT), _value(right, SHIFT), p_queue,
            BLOCK, DEPTH, KIND,
        )  # fmt: skip
        below = whole - reach
        if (most - peak) * scale > SLACK:
            peak = most
        elif KIND == "count" or KIND == "mass":
            if below > quota:
                hi = left - 1
            elif below + inside <= quota:
                lo = right + 1
            else:
                lo = left
                hi = right
                if (left == right) | (tl.max(b_count, axis=0) <= DEPTH):
                    searching = 0
            if lo > hi:  # only where a logit is not a number
                searching = 0
            if searching > 0:
                if (lo <= pivot) & (pivot <= hi):  # if many tokens are tied at it, the likely cut
                    left = pivot
                    right = pivot
                    pivot = (HIGHEST >> SHIFT) + 1
                else:
                    left = lo
                    right = (lo & hi) + ((lo ^ hi) >> 1)
        else:
            searching = 0
    return peak, left, right, total, moment, above, above_moment, below, b_count


@triton.jit
def _cut(
    p_out, p_queue, b_count, peak, scale, left, right, quota, below, above, above_moment,
    KIND: tl.constexpr, SHIFT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The exact cut inside the bracket, and the sums over everything kept."""
    threshold = _value(left, SHIFT)
    share = 1.0
    tied = tl.sum(b_count, axis=0)
    if KIND == "own":
        kept = tl.load(p_out + 7) * tied
    else:
        if left < right:
            tl.debug_barrier()  # threads read here what others queued
            left = _select_queued(
                p_queue, b_count, quota - below, peak, scale, left, right, BLOCK, KIND, SHIFT
            )
            threshold = _value(left, SHIFT)
            more, more_moment, less, tied = _settle(p_queue, b_count, threshold, peak, scale, BLOCK, KIND)
            above += more
            above_moment += more_moment
            below += less
            tl.debug_barrier()  # the next row writes over the queues
        kept = tied - quota + below
        if KIND == "mass":
            one = _weight(tl.exp2(_bits(threshold, peak, scale)), KIND)
            kept = tied - (quota - below) // tl.maximum(one, 1)
        kept = kept.to(tl.float32)
        share = kept / tied
    t = _bits(threshold, peak, scale)
    above += kept * tl.exp2(t)
    above_moment += kept * tl.exp2(t) * t
    return threshold, share, above, above_moment


# If the compiler knew that rows or queues are aligned, it would vectorize loads and stores and exchange the
# elements between threads: six barriers per block and a fifth more instructions.
@triton.jit(
    do_not_specialize=["N", "dropped", "rank_lo", "rank", "rank_hi"],
    do_not_specialize_on_alignment=["p_queue", "stride"],
)
def forward(
    p_z, p_target, p_stats, p_queue, stride, N, V, scale,
    dropped, rank_lo, rank, rank_hi,
    KIND: tl.constexpr, MASS: tl.constexpr, SHIFT: tl.constexpr, SAMPLE: tl.constexpr,
    SEGMENT: tl.constexpr, BLOCK: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Rows i, i + programs, ...: sums relative to `peak`, and the cut, into the columns of `RowStats`."""
    i_program = tl.program_id(0).to(tl.int64)
    p_queue += i_program * (DEPTH * BLOCK)
    for i in range(tl.program_id(0), N, tl.num_programs(0)):
        i_row = tl.cast(i, tl.int64)
        p_row = p_z + i_row * stride
        p_out = p_stats + i_row * COLUMNS
        target = tl.load(p_row + tl.load(p_target + i_row)).to(tl.float32)
        left, right, pivot, quota, whole, peak = _first_bracket(
            p_row, p_out, V, target, scale, dropped, rank_lo, rank, rank_hi,
            KIND, MASS, SHIFT, SAMPLE, SEGMENT, BLOCK,
        )  # fmt: skip
        peak, left, right, total, moment, above, above_moment, below, b_count = _search(
            p_row, V, peak, scale, left, right, pivot, quota, whole, p_queue,
            KIND, SHIFT, BLOCK, DEPTH,
        )  # fmt: skip
        if KIND == "all":
            threshold = -float("inf")
            share = 1.0
            above = total
            above_moment = moment
        else:
            threshold, share, above, above_moment = _cut(
                p_out, p_queue, b_count, peak, scale, left, right, quota, below, above, above_moment,
                KIND, SHIFT, BLOCK,
            )  # fmt: skip
        # the first three columns will become (logp, full entropy, entropy)
        tl.store(p_out, (target - peak) * scale)
        tl.store(p_out + 1, moment)
        tl.store(p_out + 2, above_moment)
        tl.store(p_out + 3, peak)
        tl.store(p_out + 4, total)
        tl.store(p_out + 5, above)
        if KIND != "own":
            tl.store(p_out + 6, threshold)
            tl.store(p_out + 7, share)


@triton.jit
def backward(
    p_z, p_grad, p_target, p_kept, p_up, stride, grad_stride, V, scale, BLOCK: tl.constexpr
):  # fmt: skip
    """One tile of one row of the gradient; `p_grad` may be `p_z`."""
    i_row = tl.program_id(0).to(tl.int64)
    i_col = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    m_col = i_col < V
    p_kept += i_row * KEPT
    entropy = tl.load(p_kept)
    peak = tl.load(p_kept + 1)
    total = tl.load(p_kept + 2)
    kept_total = tl.load(p_kept + 3)
    threshold = tl.load(p_kept + 4)
    share = tl.load(p_kept + 5)
    up_logp = tl.load(p_up + i_row * 2)
    up_entropy = tl.load(p_up + i_row * 2 + 1)

    b_x = tl.load(p_z + i_row * stride + i_col, mask=m_col, other=-float("inf")).to(tl.float32)
    b_t = _bits(b_x, peak, scale)
    b_e = tl.exp2(b_t)
    b_w = tl.where(b_x > threshold, 1.0, tl.where(b_x == threshold, share, 0.0))
    b_g = b_w * (b_t * LN2 + (entropy - tl.log(kept_total))) * (up_entropy / kept_total)
    b_g = -b_e * (b_g + up_logp / total)
    b_g += tl.where(i_col == tl.load(p_target + i_row), up_logp, 0.0)
    tl.store(p_grad + i_row * grad_stride + i_col, b_g.to(p_grad.dtype.element_ty), mask=m_col)
