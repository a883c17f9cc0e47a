"""One name per quantity: those of TRL, for the logs of TRL, verl and aent."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

Row = dict[str, float]
"""One logged step: ``step`` and the quantities logged there, by their names in TRL."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "entropy": ("entropy", "aent/full_entropy", "actor/entropy", "actor/entropy_loss"),
    "reward": ("reward", "critic/score/mean", "critic/rewards/mean"),
    "completions/mean_length": ("completions/mean_length", "response_length/mean"),
    "completions/clipped_ratio": ("completions/clipped_ratio", "response_length/clip_ratio"),
    "clip_ratio/region_mean": ("clip_ratio/region_mean", "actor/pg_clipfrac"),
    "kl": ("kl", "actor/kl_loss"),
    "ppo_kl": ("actor/ppo_kl",),
    "loss": ("loss", "actor/pg_loss"),
    "grad_norm": ("grad_norm", "actor/grad_norm"),
    "learning_rate": ("learning_rate", "actor/lr"),
    "frac_reward_zero_std": ("frac_reward_zero_std",),
    "step_time": ("step_time", "perf/time_per_step"),
    "aent/entropy": ("aent/entropy",),
    "aent/coef": ("aent/coef", "entropy_coef"),
    "aent/low": ("aent/low",),
    "aent/high": ("aent/high",),
}
"""The names under which hosts log a quantity; of several in one row, the first counts."""

STEPS = ("train/global_step", "training/global_step", "global_step", "step", "Step", "_step")
"""The names of the step, the most reliable first: wandb's ``_step`` counts calls, not training steps."""

VERL = ("actor/", "critic/", "response_length/", "training/global_step")


def is_verl(keys: Sequence[str]) -> bool:
    """Whether these are names that verl logs."""
    return any(key.startswith(VERL) for key in keys)


def step_name(keys: Sequence[str]) -> str | None:
    """Return the most reliable name of the step among the keys; None if there is none."""
    return next((name for name in STEPS if name in keys), None)


def normalized(rows: Sequence[Mapping[str, Any]], step: str) -> list[Row]:
    """Return one row per step, in order, with numbers only and under TRL's names.

    Rows of the same step are merged; what was logged last counts. Rows whose step is not known, and
    quantities that `NAMES` does not know, are left out.
    """
    numbers = _numbers(rows, step)
    by_step: dict[float, dict[str, Any]] = {}
    for row in rows:
        number = next((numbers[place] for place in _places(row) if place in numbers), None)
        if number is not None:
            bare = {key.removeprefix("train/"): value for key, value in row.items()}
            by_step.setdefault(number, {}).update({k: v for k, v in bare.items() if as_number(v) is not None})
    merged = []
    for number in sorted(by_step):
        found = {name: _first(by_step[number], known) for name, known in NAMES.items()}
        quantities = {name: value for name, value in found.items() if value is not None}
        if quantities:
            merged.append({"step": number, **quantities})
    return merged


def _numbers(rows: Sequence[Mapping[str, Any]], step: str) -> dict[tuple[str, float], float]:
    """Return the step that belongs to each number under any name of the step.

    Where every value is a row of its own (TensorBoard, trackio), the step is logged as one more metric: the
    row that holds it says which step the others with the same count belong to.
    """
    numbers = {}
    for row in rows:
        number = as_number(row.get(step))
        if number is not None and isfinite(number):
            numbers |= dict.fromkeys(_places(row), number)
    return numbers


def _places(row: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return the numbers of a row under the names of the step, the most reliable first."""
    given = ((name, as_number(row[name])) for name in STEPS if name in row)
    return [(name, number) for name, number in given if number is not None]


def as_number(value: Any) -> float | None:
    """Return a logged value as a number, finite or not; None for anything else, such as an empty cell."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _first(row: Mapping[str, Any], names: Sequence[str]) -> float | None:
    return next((as_number(row[name]) for name in names if name in row), None)
