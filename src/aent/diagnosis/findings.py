"""What looks wrong in a log, each with the metric that shows it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from aent.diagnosis.movement import EntropyMovement, Movement, finite, movement
from aent.logs.names import Row
from aent.report.figure import HUGE, series

# Thresholds are ours: rules of thumb, not measurements.
TRUNCATED = 0.2
"""Share of completions cut at the length limit."""
GROWN, SHRUNK = 1.5, 0.67
"""Last over first mean length of a completion."""
CLIPPED = 0.1
"""Share of tokens outside the clipping range."""
DRIFT = 0.5
"""KL divergence from the reference model, nats per token."""
STEP_KL = 0.05
"""KL divergence of one batch of updates, nats per token."""
EQUAL = 0.5
"""Share of groups whose rewards are all equal, so that they teach nothing."""
SPIKE = 10
"""Largest gradient norm over its median."""
PINNED = 0.25
"""Share of the last half of the steps at the highest coefficient that was logged."""
SLOWER = 1.5
"""Last over first time of a step."""


class Finding(NamedTuple):
    """Something suspicious."""

    name: str
    """What it is, in one word: the key of an advice."""
    metric: str
    """The metric to look at, under TRL's name."""
    text: str


def findings(rows: Sequence[Row], entropy: EntropyMovement | None) -> list[Finding]:
    """Return everything suspicious, the most serious first."""
    found = [check(rows, entropy) for check in CHECKS]
    return [finding for finding in found if finding is not None]


def not_finite(rows: Sequence[Row], entropy: EntropyMovement | None) -> Finding | None:
    """NaN or infinity in loss, gradient, entropy or reward."""
    watched = ("loss", "grad_norm", "entropy", "aent/entropy", "reward", "kl", "ppo_kl")
    for row in rows:
        wrong = [key for key in watched if key in row and not abs(row[key]) <= HUGE]
        if wrong:
            later = sum(any(k in r and not abs(r[k]) <= HUGE for k in watched) for r in rows)
            text = f"{' and '.join(wrong)} not finite from step {row['step']:g}, in {later} logged rows"
            return Finding("not-finite", wrong[0], text)
    return None


def empty_windows(rows: Sequence[Row], entropy: EntropyMovement | None) -> Finding | None:
    """Steps without a token that counts: no entropy, or neither loss nor gradient."""
    have = [row for row in rows if "reward" in row or "loss" in row]
    logged = any("entropy" in row for row in have)
    empty = [
        row["step"]
        for row in have
        if (logged and "entropy" not in row) or (row.get("loss") == 0 and row.get("grad_norm") == 0)
    ]
    if not empty:
        return None
    text = (
        f"{len(empty)} of {len(have)} logged steps trained on nothing (first at step {empty[0]:g}): every "
        "token was masked, or every group had equal rewards"
    )
    return Finding("empty-windows", "entropy", text)


def truncated(rows: Sequence[Row], entropy: EntropyMovement | None) -> Finding | None:
    """Completions that end at the length limit."""
    cut = movement(rows, "completions/clipped_ratio")
    if cut is None or cut.end <= TRUNCATED:
        return None
    text = f"{cut.end:.0%} of the completions end at the length limit (at first {cut.start:.0%})"
    return Finding("truncated", "completions/clipped_ratio", text)


def length_drift(rows: Sequence[Row], entropy: EntropyMovement | None) -> Finding | None:
    """Completions that grow or shrink."""
    length = movement(rows, "completions/mean_length")
    if length is None or SHRUNK < length.end / max(length.start, 1e-9) < GROWN:
        return None
    text = f"the mean length of a completion went from {length.start:.4g} to {length.end:.4g} tokens"
    return Finding("length-drift", "completions/mean_length", text)


def clipping(rows: Sequence[Row], entropy: EntropyMovement | None) -> Finding | None:
    """Many tokens outside the clipping range."""
    share = movement(rows, "clip_ratio/region_mean")
    if share is None or share.end <= CLIPPED:
        return None
    return Finding("clipping", "clip_ratio/region_mean", f"{share.end:.0%} of the tokens are clipped")


def divergence(rows: Sequence[Row], entropy: EntropyMovement | None) -> Finding | None:
    """A policy that moves too far, from the reference or in one step."""
    for key, most, what in (("ppo_kl", STEP_KL, "in one step"), ("kl", DRIFT, "from the reference model")):
        kl = movement(rows, key)
        if kl is not None and abs(kl.end) > most:
            return Finding("divergence", key, f"the policy moved {kl.end:.2g} nats per token {what}")
    return None


def equal_groups(rows: Sequence[Row], entropy: EntropyMovement | None) -> Finding | None:
    """Groups that teach nothing."""
    share = movement(rows, "frac_reward_zero_std")
    if share is None or share.end <= EQUAL:
        return None
    text = f"{share.end:.0%} of the groups have equal rewards and teach nothing (at first {share.start:.0%})"
    return Finding("equal-groups", "frac_reward_zero_std", text)


def gradient_spikes(rows: Sequence[Row], entropy: EntropyMovement | None) -> Finding | None:
    """A gradient far above the usual."""
    norm = finite(series(rows, "grad_norm"))
    usual = float(np.median(norm.values)) if len(norm.values) else 0.0
    if not usual > 0 or norm.values.max() <= SPIKE * usual:
        return None
    at = int(np.argmax(norm.values))
    times = f"{norm.values[at] / usual:.0f} times its median"
    text = f"gradient norm {norm.values[at]:.3g} at step {norm.steps[at]:g}, {times}"
    return Finding("gradient-spikes", "grad_norm", text)


def pinned(rows: Sequence[Row], entropy: EntropyMovement | None) -> Finding | None:
    """A coefficient at its ceiling while the entropy is below its band."""
    with_all = [r for r in rows if {"aent/coef", "aent/entropy", "aent/low"} <= r.keys()]
    late = with_all[len(with_all) // 2 :]
    if not late:
        return None
    top = max(row["aent/coef"] for row in with_all)
    below = [r for r in late if r["aent/coef"] >= top * (1 - 1e-9) and r["aent/entropy"] < r["aent/low"]]
    if len(below) < max(3, PINNED * len(late)):
        return None
    text = (
        f"the coefficient stays at {top:.3g} while the entropy is below its band, in {len(below)} of the "
        f"last {len(late)} rows"
    )
    return Finding("pinned", "aent/coef", text)


def slower(rows: Sequence[Row], entropy: EntropyMovement | None) -> Finding | None:
    """Steps that take longer and longer."""
    time: Movement | None = movement(rows, "step_time")
    if time is None or time.end <= SLOWER * time.start:
        return None
    return Finding("slower", "step_time", f"a step takes {time.end:.3g} s, at first {time.start:.3g} s")


def flat_reward(rows: Sequence[Row], entropy: EntropyMovement | None) -> Finding | None:
    """A reward that has not moved beyond its own noise."""
    reward = finite(series(rows, "reward"))
    moved = movement(rows, "reward")
    if moved is None or len(reward.values) < 8:
        return None
    size = max(3, len(reward.values) // 10)
    noise = float(np.hypot(reward.values[:size].std(ddof=1), reward.values[-size:].std(ddof=1)) / size**0.5)
    if moved.end - moved.start > 2 * noise and moved.end > moved.start:
        return None
    text = f"reward went from {moved.start:.3g} to {moved.end:.3g}: no gain beyond its noise of {noise:.2g}"
    return Finding("flat-reward", "reward", text)


CHECKS: Sequence[Callable[[Sequence[Row], EntropyMovement | None], Finding | None]] = (
    not_finite,
    empty_windows,
    flat_reward,
    equal_groups,
    truncated,
    length_drift,
    divergence,
    clipping,
    gradient_spikes,
    pinned,
    slower,
)
