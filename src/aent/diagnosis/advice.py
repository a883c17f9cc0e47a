"""What to change, ready to paste into a TRL script and verl's command."""

from collections.abc import Callable, Sequence
from math import inf
from typing import NamedTuple

from aent.calibration.block import HIGH, LOW
from aent.diagnosis.findings import Finding
from aent.diagnosis.movement import FELL, EntropyMovement, finite
from aent.logs.names import Row
from aent.report.figure import series

RATE = 1e-6
"""Learning rate to halve if none was logged; TRL's default for GRPO."""


class Advice(NamedTuple):
    """One change, with its reason."""

    why: str
    trl: Sequence[str]
    """Arguments of the configuration, as in ``AEntGRPOConfig(...)``."""
    verl: Sequence[str]
    """Options of verl's command."""


def advice(rows: Sequence[Row], entropy: EntropyMovement | None, found: Sequence[Finding]) -> list[Advice]:
    """Return the changes to try, the first one first; empty if there is nothing to change."""
    names = {finding.name for finding in found}
    steps = [ADVICE[name](rows, entropy) for name in ADVICE if name in names]
    first = [] if entropy is None else _about_entropy(rows, entropy)
    broken = [_smaller_steps(rows, entropy)] if "not-finite" in names else []
    return list(dict.fromkeys([*broken, *first, *steps]))


def _about_entropy(rows: Sequence[Row], entropy: EntropyMovement) -> list[Advice]:
    if entropy.state in ("collapsed", "falling") or entropy.ratio < FELL:
        where = (
            ""
            if entropy.half_step is None
            else f" Start from a checkpoint before step {entropy.half_step:g}."
        )
        why = f"Let a bonus that needs no settings cancel the fall once half of the entropy is gone.{where}"
        return [_without_settings(why, rows)]
    if entropy.state in ("exploded", "rising"):
        return [_less_bonus(rows, entropy)]
    return []


def _less_bonus(rows: Sequence[Row], entropy: EntropyMovement) -> Advice:
    """Return half of the coefficient at which the entropy left its start.

    Without a logged coefficient, or a start above 0 to place a band by, return a method that pushes the
    entropy down.
    """
    logged = {row["step"]: row["aent/coef"] for row in rows if 0 < row.get("aent/coef", 0) < inf}
    above = [r["step"] for r in rows if r.get("entropy", 0) > 1.1 * entropy.start and r["step"] in logged]
    if not above or not entropy.start > 0:
        why = "The entropy grows. aent-auto pushes it down once it is a twentieth above its start."
        return _without_settings(why, rows)
    top = logged[above[0]] / 2
    block = {
        "coef": top / 2, "low": LOW * entropy.start, "high": HIGH * entropy.start,
        "lr": 0.9 * top / entropy.start, "coef_min": top / 10, "coef_max": top,
    }  # fmt: skip
    numbers = ", ".join(f"{name}: {float(f'{value:.3g}')}" for name, value in block.items())
    why = (
        f"The bonus is too strong: at a coefficient of {logged[above[0]]:.3g} the entropy was a tenth "
        "above its start. Stay below half of that, with a band that ends at the start."
    )
    return _method(why, f"{{name: aent, {numbers}, warmup: 0}}")


def _method(why: str, method: str) -> Advice:
    quoted = f"'+aent.method={method}'" if " " in method else f"+aent.method={method}"
    fsdp2 = "actor_rollout_ref.actor.strategy=fsdp2"  # verl's default, FSDP1, is refused
    verl = ("trainer.v1.trainer_mode=aent_sync", quoted, fsdp2)
    return Advice(why, (f'aent_method="{method}"',), verl)


def _without_settings(why: str, rows: Sequence[Row]) -> Advice:
    """Return aent-auto with the learning rate that suits it: TRL's default falls from the first step."""
    fifth = max(int(max(row["step"] for row in rows)) // 5, 1)
    schedule = f'lr_scheduler_kwargs={{"num_decay_steps": {fifth}, "decay_type": "linear"}}'
    method = _method(f"{why} Let the learning rate fall in the last fifth of the steps.", "aent-auto")
    return method._replace(trl=(*method.trl, 'lr_scheduler_type="warmup_stable_decay"', schedule))


def _smaller_steps(rows: Sequence[Row], entropy: EntropyMovement | None) -> Advice:
    rates = finite(series(rows, "learning_rate")).values
    rate = f"{(max(rates) if len(rates) else RATE) / 2:.2g}"
    return Advice(
        "Take smaller steps: half of the learning rate, and a tighter bound on the gradient.",
        (f"learning_rate={rate}", "max_grad_norm=0.2"),
        (f"actor_rollout_ref.actor.optim.lr={rate}", "actor_rollout_ref.actor.optim.clip_grad=0.2"),
    )


def _longer(rows: Sequence[Row], entropy: EntropyMovement | None) -> Advice:
    longest = max(finite(series(rows, "completions/mean_length")).values, default=0)
    room = 2 * int(longest) if longest > 0 else "2 x the present limit"
    return Advice(
        "Give completions room to end. If they only grow, let the reward punish length instead.",
        (f"max_completion_length={room}", "mask_truncated_completions=True"),
        (f"data.max_response_length={room}",),
    )


def _harder(rows: Sequence[Row], entropy: EntropyMovement | None) -> Advice:
    return Advice(
        "Draw more completions per prompt, or prompts that are neither always nor never solved.",
        ("num_generations=16",),
        ("actor_rollout_ref.rollout.n=16",),
    )


def _pinned(rows: Sequence[Row], entropy: EntropyMovement | None) -> Advice:
    return _without_settings(
        "The coefficient's ceiling is too low for this band. aent-auto has none to set.", rows
    )


ADVICE: dict[str, Callable[[Sequence[Row], EntropyMovement | None], Advice]] = {
    "pinned": _pinned,
    "divergence": _smaller_steps,
    "clipping": _smaller_steps,
    "gradient-spikes": _smaller_steps,
    "truncated": _longer,
    "equal-groups": _harder,
    "empty-windows": _harder,
    "flat-reward": _harder,
}
"""What to try for a finding, by its name. A finding without an entry has no setting that would mend it."""
