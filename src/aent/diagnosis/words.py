"""A diagnosis in plain words."""

from collections.abc import Iterator, Sequence
from math import inf
from textwrap import wrap

from aent.diagnosis.advice import Advice
from aent.diagnosis.findings import Finding
from aent.diagnosis.movement import GONE, LEAST, EntropyMovement, Movement, Trade
from aent.logs.read import Log
from aent.statistics import Estimate

WIDTH, INDENT = 100, 12
GONE_ALREADY = f"It is gone: under {GONE:.0%} of the start."
STATES = {
    "collapsed": "has collapsed",
    "falling": "is falling",
    "fell": "fell and now holds",
    "steady": "is steady",
    "rose": "rose and now holds",
    "rising": "is rising",
    "exploded": "has exploded",
}


def summary(log: Log) -> str:
    """Return what was read: form, rows, steps."""
    first, last = log.rows[0]["step"], log.rows[-1]["step"]
    return f"{log.source}: {log.kind}, {len(log.rows)} logged rows, steps {first:g} to {last:g}"


def entropy_lines(entropy: EntropyMovement | None) -> Iterator[str]:
    """Say how the entropy moved and when it will be gone."""
    if entropy is None:
        yield (
            "is not logged, or in fewer than three rows that are finite. TRL and verl log it by default; see "
            "docs/diagnose.md."
        )
        return
    change = f", {abs(entropy.ratio - 1):.0%} {'less' if entropy.ratio < 1 else 'more'}"
    change = change if entropy.start > 0 else ""  # a share of 0 says nothing
    yield f"{STATES[entropy.state]}: {entropy.start:.3g} to {entropy.end:.3g} nats per token{change}."
    if entropy.half_step is not None:
        yield f"Half of it was gone at step {entropy.half_step:g}."
    if entropy.late is None:
        yield f"{entropy.rows} rows are too few for a rate; log at least {2 * LEAST}."
    elif entropy.halving and entropy.gone_at:
        yield f"In the last half of the log it halves every {_estimate(entropy.halving, '.3g')} steps."
        yield _gone(entropy, entropy.gone_at)
    elif entropy.direction > 0:
        yield "In the last half of the log it grows."
    elif entropy.ratio < GONE:
        yield GONE_ALREADY
    else:
        yield "In the last half of the log it has no clear trend, so it does not run out at this rate."


def _gone(entropy: EntropyMovement, gone: Estimate) -> str:
    last = entropy.steps[1]
    if gone.value <= last:
        return GONE_ALREADY
    latest = "no end" if gone.high > 100 * last else f"{gone.high:.0f}"
    return (
        f"At this rate {GONE:.0%} of the start is left at step {gone.value:.0f} "
        f"(95 % interval {max(gone.low, last):.0f} to {latest})."
    )


def reward_lines(reward: Movement | None, trade: Trade | None) -> Iterator[str]:
    """Say how the reward moved, and whether it still pays for entropy."""
    if reward is None:
        yield (
            "is not logged, or in fewer than three rows that are finite, so nothing can be said about what "
            "the entropy buys."
        )
        return
    direction = {1: "and still grows", 0: "with no clear trend in the last half", -1: "and now falls"}
    yield f"went from {reward.start:.3g} to {reward.end:.3g}, {direction[reward.direction]}."
    if trade is None:
        yield f"No fit to the entropy: fewer than {LEAST} rows have both, or one of the two hardly moved."
        return
    yield (
        f"Fit R = b - a exp(H): a = {_estimate(trade.a, '.3g')}, b = {_estimate(trade.b, '.3g')}, "
        f"R² = {trade.r2:.2f} over {trade.rows} rows."
    )
    if trade.pays is None:
        yield "The interval of a includes 0: reward and entropy are not clearly related in this run."
    elif trade.pays:
        yield (
            f"Reward grows as entropy falls. If the rest of the entropy went too, the fit promises "
            f"{_estimate(trade.left, '+.2g')} reward{_verdict(reward, trade)}."
        )
    else:
        yield "Reward grows with entropy here, so the fall of entropy is not what pays."


def _verdict(reward: Movement, trade: Trade) -> str:
    gained = reward.end - reward.start
    if trade.left.high < 0.1 * max(gained, 1e-9):
        return ", less than a tenth of what the run has gained: what entropy could buy is bought"
    return f", after a gain of {gained:+.2g} so far"


def finding_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Say what is suspicious."""
    if not findings:
        yield "nothing."
    for finding in findings:
        yield f"{finding.text} [{finding.metric}]."


def block(heading: str, lines: Iterator[str], *, bullets: bool = False) -> str:
    """Return a heading with its sentences beside it, wrapped."""
    mark = "- " if bullets else ""
    space = " " * (INDENT + len(mark))
    parts = [
        "\n".join(wrap(mark + line, WIDTH, initial_indent=" " * INDENT, subsequent_indent=space))
        for line in lines
    ]
    return heading.ljust(INDENT) + "\n".join(parts).lstrip()


def advice_text(advice: Sequence[Advice]) -> str:
    """Return the settings to try, ready to paste."""
    if not advice:
        return "Try".ljust(INDENT) + "nothing: keep the settings."
    parts = []
    for number, one in enumerate(advice, 1):
        reason = "\n".join(wrap(one.why, WIDTH, initial_indent=" " * INDENT, subsequent_indent=" " * INDENT))
        trl = "\n".join(f"{' ' * INDENT}    {line}," for line in one.trl)
        verl = " \\\n".join(f"{' ' * INDENT}    {line}" for line in one.verl)
        label = "Try" if number == 1 else "or, too"
        parts.append(
            f"{label.ljust(INDENT)}{reason.lstrip()}\n{' ' * INDENT}TRL, in AEntGRPOConfig(...):\n{trl}\n"
            f"{' ' * INDENT}verl, in the command:\n{verl}"
        )
    return "\n".join(parts)


def _estimate(estimate: Estimate, form: str) -> str:
    high = "no end" if estimate.high == inf else f"{estimate.high:{form}}"
    return f"{estimate.value:{form}} (95 % interval {estimate.low:{form}} to {high})"
