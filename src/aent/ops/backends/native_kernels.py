"""The arithmetic of `aent.ops.closed_form` in one walk over each row, compiled by numba.

Forward reads a row once. A sample of the row brackets the cut. Then it goes through the row block by block,
each in the nearest cache: it sums over all tokens and over those above the bracket, and puts the few inside
the bracket aside. The exact cut is among these. If the bracket missed, it is moved and the row is read again,
so the cut is always exact. Backward reads once and writes once.

Fast-math is limited to sums, which may add in any order; minus infinity and NaN keep their meaning. The
statistics of a row are NaN if it contains NaN or +inf or has no finite logit, and only then.
"""

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from aent.ops.closed_form import Kept, RowStats

f32, i32 = np.float32, np.int32
Number = float | np.floating[Any]
NO_CACHE = (
    "numba found no folder for its cache, so every process compiles the native backend anew, which takes "
    "some seconds. Set NUMBA_CACHE_DIR to a folder that can be written"
)
_njit = partial(numba.njit, nogil=True, error_model="numpy")
_intrinsic: Any = intrinsic  # its result takes one argument less, which types cannot express
_sums_in_any_order = {"reassoc", "contract", "nsz"}

LOGP, FULL_ENTROPY, ENTROPY, PEAK, TOTAL, KEPT_TOTAL, THRESHOLD, SHARE = range(len(RowStats._fields))
FIRST = len(RowStats._fields) - len(Kept._fields)  # of the columns that backward receives
OWN = -1
"""A value of `kept`: the columns of the threshold and the share already hold the cut of each row."""

BLOCK = 512  # logits: sums short enough for float32, even with the fewest lanes that a CPU may have
LINE = 16  # logits in a cache line
SAMPLE = 256  # lines in a sample
SMALL = 4096  # logits: shorter rows are not worth a sample
BINS = 2048  # upper limit in one round of the search for the cut

ZERO, ONE, INF, LOWEST = f32(0), f32(1), f32(np.inf), f32(np.finfo(f32).min)

# exp: Cody-Waite reduction, then the polynomial of Cephes' expf; FLOOR is where 2^n underflows to 0
FLOOR = f32(-88.1)
MAGIC = f32(1.5 * 2**23)
LOG2E, LN2_HIGH, LN2_LOW = f32(math.log2(math.e)), f32(0.693359375), f32(-2.12194440e-4)
P5, P4, P3 = f32(1.9875691500e-4), f32(1.3981999507e-3), f32(8.3334519073e-3)
P2, P1, P0 = f32(4.1665795894e-2), f32(1.6666665459e-1), f32(5.0000001201e-1)


def _jit(**options: Any) -> Callable[[Any], Any]:
    """Compile with a cache on disk, or without one where numba finds no folder for it."""

    def compiled(function: Any) -> Any:
        try:
            return _njit(cache=True, **options)(function)
        except RuntimeError:  # no folder for the cache can be written
            warnings.warn(NO_CACHE, stacklevel=1)  # one place, so that Python shows it once
            return _njit(**options)(function)

    return compiled


@_intrinsic
def _inside(context, row, start, low, high):
    """Return a 64-bit mask of the ``row[start : start + 64]`` that lie in [low, high], by vector compares."""
    lanes = ir.VectorType(ir.FloatType(), 64)

    def generate(context, builder, signature, args):
        array, at, *bounds = args
        data = context.make_array(signature.args[0])(context, builder, array).data
        x = builder.load(builder.bitcast(builder.gep(data, [at]), lanes.as_pointer()), align=4)
        first, nothing = ir.Constant(ir.IntType(32), 0), ir.Constant(lanes, ir.Undefined)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), 64), [0] * 64)
        ones = [builder.insert_element(nothing, bound, first) for bound in bounds]
        lowest, highest = (builder.shuffle_vector(one, one, everywhere) for one in ones)
        above, below = builder.fcmp_ordered(">=", x, lowest), builder.fcmp_ordered("<=", x, highest)
        return builder.bitcast(builder.and_(above, below), ir.IntType(64))

    return types.uint64(row, types.intp, types.float32, types.float32), generate


@_intrinsic
def _lowest_bit(context, bits):
    """Return the position of the lowest set bit."""

    def generate(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@_jit(forceinline=True)
def _key(x):
    """Map floats to integers in the same order; both zeros map to one number."""
    bits = f32(x + ZERO).view(i32)
    return i32(bits ^ ((bits >> i32(31)) & i32(0x7FFFFFFF)))


@_jit(forceinline=True)
def _value(key):
    return i32(key ^ ((key >> i32(31)) & i32(0x7FFFFFFF))).view(f32)


@_jit(forceinline=True, fastmath={"contract"})
def _exp(d):
    """Return ``exp d`` for FLOOR <= d <= 0, within 2 units in the last place; 0 at FLOOR; NaN for NaN."""
    shifted = d * LOG2E + MAGIC
    n = shifted - MAGIC
    r = d - n * LN2_HIGH
    r = r - n * LN2_LOW
    p = ((((P5 * r + P4) * r + P3) * r + P2) * r + P1) * r + P0
    p = p * (r * r) + r + ONE
    return p * i32((f32(shifted).view(i32) + i32(127)) << i32(23)).view(f32)


@_jit()
def _largest(z):
    top = _key(-INF)
    for i in range(z.size):
        top = max(top, _key(z[i]))
    return _value(top)


@_jit(fastmath=_sums_in_any_order)
def _sums(z, peak, low, high):
    """Return Σ e and Σ e y, the same two sums above `high`, and how many logits lie below `low`."""
    s = t = s_high = t_high = below = ZERO
    for i in range(z.size):
        x = z[i]
        y = x - peak
        y = FLOOR if y < FLOOR else y
        e = _exp(y)
        s += e
        t += e * y
        e = e if x > high else ZERO
        s_high += e
        t_high += e * y
        below += ONE if x < low else ZERO
    return s, t, s_high, t_high, below


@_jit()
def _collect(z, low, high, band, found):
    """Append the logits in [low, high] to `band`."""
    whole = z.size - z.size % 64
    for i in range(0, whole, 64):
        bits = _inside(z, i, low, high)
        while bits != np.uint64(0):
            band[found] = z[i + _lowest_bit(bits)]
            found += 1
            bits &= bits - np.uint64(1)
    for i in range(whole, z.size):
        if low <= z[i] <= high:
            band[found] = z[i]
            found += 1
    return found


class _Room(NamedTuple):
    """Memory shared by all rows; the part that a row does not touch costs nothing."""

    band: np.ndarray
    keys: np.ndarray
    weights: np.ndarray


class _Swept(NamedTuple):
    """What one walk over a row returns, with y = logit - peak; everything above the band is kept."""

    peak: Number
    total: Number  # Σ exp y
    moment: Number  # Σ y exp y
    kept_total: Number
    kept_moment: Number
    below: int  # how many lie below the band
    found: int  # how many lie in it


@_jit()
def _sweep(z, low, high, band):
    """Walk over the row once and put the band [low, high] aside."""
    peak = LOWEST
    s = t = s_high = t_high = below = 0.0
    found = 0
    for start in range(0, z.size, BLOCK):
        block = z[start : start + BLOCK]
        top = _largest(block)
        if not top <= peak:
            shift = np.float64(peak) - top
            ratio = math.exp(shift)
            t, t_high = ratio * (t + shift * s), ratio * (t_high + shift * s_high)
            s, s_high = ratio * s, ratio * s_high
            peak = top
        more = _sums(block, peak, low, high)
        s, t, s_high, t_high = s + more[0], t + more[1], s_high + more[2], t_high + more[3]
        below += more[4]
        found = _collect(block, low, high, band, found)
    return _Swept(peak, s, t, s_high, t_high, int(below), found)


@_jit()
def _reach(keys, weights, wanted):
    """Find the key at which the weight, summed from the largest key down, reaches `wanted`.

    Returns the key and the weight above it; overwrites both arrays. Each round keeps the keys of one bin.
    """
    mass, above, size = np.empty(BINS), 0.0, keys.size
    while True:
        least, most = np.int64(keys[0]), np.int64(keys[0])
        for i in range(size):
            least, most = min(least, np.int64(keys[i])), max(most, np.int64(keys[i]))
        if least == most:
            return i32(least), above
        bins = min(BINS, max(64, size))
        shift = 0
        while (most - least) >> shift >= bins:
            shift += 1
        mass[:bins] = 0
        for i in range(size):
            mass[(keys[i] - least) >> shift] += weights[i]
        place = (most - least) >> shift
        while place > 0 and above + mass[place] < wanted:
            above += mass[place]
            place -= 1
        if shift == 0:
            return i32(least + place), above
        left = 0
        for i in range(size):
            keys[left] = keys[i]
            weights[left] = weights[i]
            left += (keys[i] - least) >> shift == place
        size = left


@_jit()
def _kth_largest(values, k, room):
    """Return the k-th largest value and how many are above it."""
    keys, weights = room.keys[: values.size], room.weights[: values.size]
    for i in range(values.size):
        keys[i], weights[i] = _key(values[i]), ONE
    key, above = _reach(keys, weights, k)
    return _value(key), above


@_jit()
def _band_sums(band, peak, threshold):
    """Return Σ e and Σ e y above the threshold, and how many logits are tied at it."""
    s, t, tied = 0.0, 0.0, 0
    for start in range(0, band.size, BLOCK):
        block = band[start : start + BLOCK]
        more = _sums(block, peak, threshold, threshold)
        s, t = s + more[2], t + more[3]
        for i in range(block.size):
            tied += block[i] == threshold
    return s, t, tied


@_jit()
def _bracket(z, kept, room):
    """Return bounds between which the `kept`-th largest logit very probably lies (4 sigma)."""
    if z.size < SMALL:
        return -INF, INF
    lines = min(SAMPLE, z.size // 128)
    sample = np.empty(lines * LINE, f32)
    for line in range(lines):
        at = line * (z.size - LINE) // (lines - 1) // LINE * LINE
        for i in range(LINE):
            sample[line * LINE + i] = z[at + i]
    share = kept / z.size
    rank = share * sample.size
    margin = 4 * math.sqrt(rank * (1 - share)) + 4
    low, high = -INF, INF
    if rank - margin >= 1:
        high = _kth_largest(sample, np.floor(rank - margin), room)[0]
    if rank + margin <= sample.size:
        low = _kth_largest(sample, np.ceil(rank + margin), room)[0]
    return low, high


@_jit()
def _bounds(z, kept, mass, given, room):
    """Return the band to put aside; everything above it is kept."""
    if kept == OWN:
        return given, given
    if kept < z.size:
        return _bracket(z, kept, room)
    if mass < 1:
        return INF, INF  # put nothing aside, keep nothing: the total comes first
    return INF, -INF  # put nothing aside, keep everything


@_jit()
def _nucleus(z, swept, mass, room):
    """Put the largest logits aside; return how many, the smallest of the nucleus, and the places left there.

    The others have at most half of the probability that the nucleus leaves out.
    """
    floor = f32(swept.peak + math.log((1 - mass) * swept.total / (2 * z.size)))
    found = _collect(z, floor, INF, room.band, np.int64(0))
    band, keys, weights = room.band[:found], room.keys[:found], room.weights[:found]
    for i in range(found):
        keys[i] = _key(band[i])
        y = band[i] - swept.peak
        weights[i] = _exp(FLOOR if y < FLOOR else y)
    key, above = _reach(keys, weights, mass * swept.total)
    needed = (mass * swept.total - above) / math.exp(_value(key) - swept.peak)
    return found, _value(key), max(1.0, np.ceil(needed))


@_jit()
def _measure_row(z, target, kept, mass, room, out):
    drop = z.size - kept
    counted = 0 < kept < z.size
    low, high = _bounds(z, kept, mass, out[THRESHOLD], room)
    while True:
        swept = _sweep(z, low, high, room.band)
        if not 0 < swept.total < np.inf:
            out[:] = np.nan
            return
        if counted and drop < swept.below:  # the bracket missed, which happens at most once
            low, high = -INF, _value(i32(_key(low) - 1))
        elif counted and drop >= swept.below + swept.found:
            low, high = _value(i32(_key(high) + 1)), INF
        else:
            break
    found, threshold, places = swept.found, -INF, 0.0
    if kept == OWN:
        threshold, places = out[THRESHOLD], np.float64(out[SHARE]) * found
    elif counted:
        wanted = np.float64(swept.below + found - drop)
        threshold, above = _kth_largest(room.band[:found], wanted, room)
        places = wanted - above
    elif mass < 1:
        found, threshold, places = _nucleus(z, swept, mass, room)
    s, t, tied = _band_sums(room.band[:found], swept.peak, threshold)
    places = min(places, np.float64(tied))
    y = max(np.float64(threshold) - swept.peak, np.float64(FLOOR))
    kept_total = swept.kept_total + s + places * math.exp(y)
    kept_moment = swept.kept_moment + t + places * math.exp(y) * y
    out[LOGP] = np.float64(z[target]) - swept.peak - math.log(swept.total)
    out[ENTROPY] = max(0.0, math.log(kept_total) - kept_moment / kept_total)
    out[FULL_ENTROPY] = max(0.0, math.log(swept.total) - swept.moment / swept.total)
    out[PEAK], out[TOTAL], out[KEPT_TOTAL] = swept.peak, swept.total, kept_total
    out[THRESHOLD], out[SHARE] = threshold, places / tied if tied else 1.0


@_jit()
def measure(z, targets, out, kept, mass):
    """Fill `out` with the statistics (`aent.ops.closed_form.RowStats`) of the rows `z`, float32.

    This keeps the `kept` largest logits of a row. If `kept` is the size of the row, it keeps the nucleus of
    `mass`, where 1 keeps everything; if `kept` is OWN, it keeps what the cuts in `out` say.
    """
    vocab = z.shape[1]
    room = _Room(np.empty(vocab, f32), np.empty(vocab, i32), np.empty(vocab, f32))
    for row in range(len(z)):
        _measure_row(z[row], targets[row], kept, mass, room, out[row])


@_jit(fastmath={"contract"})
def _slopes(z, peak, threshold, share, entropy_slope, offset, logp_slope, out):
    for i in range(z.size):
        x = z[i]
        y = x - peak
        y = FLOOR if y < FLOOR else y
        w = ONE if x > threshold else (share if x == threshold else ZERO)
        out[i] = _exp(y) * (w * (entropy_slope * (y + offset)) - logp_slope)


@_jit()
def differentiate(z, targets, kept, grads, out):
    """Write the gradient with respect to the rows `z`, given those of (logp, entropy).

    `aent.ops.closed_form` has the formula; `kept` holds the columns of its `Kept`. `out` may be `z`. A row
    whose gradients are 0, such as padding, is not read.
    """
    block = np.empty(BLOCK, f32)
    for row in range(len(z)):
        saved, grad_logp, grad_entropy = kept[row], grads[row, 0], grads[row, 1]
        peak, total, kept_total = saved[PEAK - FIRST], saved[TOTAL - FIRST], saved[KEPT_TOTAL - FIRST]
        threshold, share = saved[THRESHOLD - FIRST], saved[SHARE - FIRST]
        if grad_logp == 0 and grad_entropy == 0 and total > 0:
            out[row] = ZERO
            continue
        offset = saved[ENTROPY - FIRST] - f32(math.log(np.float64(kept_total)))
        entropy_slope, logp_slope = -grad_entropy / kept_total, grad_logp / total
        for start in range(0, z.shape[1], BLOCK):
            here, there = z[row, start : start + BLOCK], out[row, start : start + BLOCK]
            done = block[: here.size]  # separate from `z` and `out`, so that both loops are vectorized
            _slopes(here, peak, threshold, share, entropy_slope, offset, logp_slope, done)
            for i in range(there.size):
                there[i] = done[i]
        out[row, targets[row]] += grad_logp
