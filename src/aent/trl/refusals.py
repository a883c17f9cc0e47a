"""Whether a method and the host's options go together; checked before anything is created."""

import copy
from dataclasses import MISSING, fields
from typing import Any

from aent.errors import InputError, contradiction, unknown
from aent.method import Method
from aent.trl.host import CLIPPED, LOSS_TYPES, Kind


def fitted(args: Any, method: Method) -> Any:
    """Return a copy of the host's options with those the method needs.

    Raises:
        InputError: for an unknown loss type, an option that the user set to something else, TRL's own entropy
            bonus together with ours, or a method that needs something this algorithm does not have.
    """
    kind = Kind.of(args)
    if kind.loss_type is not None and kind.loss_type not in LOSS_TYPES:
        raise unknown("loss_type", kind.loss_type, LOSS_TYPES)
    _refuse_second_bonus(args, method)
    _refuse_other_clipping(args, kind, method)
    args = _with_options(args, method)
    _refuse_unfit(args, Kind.of(args), method)
    return args


def _with_options(args: Any, method: Method) -> Any:
    args = copy.copy(args)
    defaults = {f.name: f.default for f in fields(args)}
    for name, value in method.options.items():
        if name not in defaults:
            raise InputError(
                f"method {method.name!r} sets {name}, which {type(args).__name__} does not have; "
                "choose another algorithm"
            )
        current = getattr(args, name)
        if current != value and defaults[name] is not MISSING and current not in (defaults[name], None):
            raise contradiction(name, current, f"method {method.name!r}", value)
        setattr(args, name, value)
    return args


def _refuse_other_clipping(args: Any, kind: Kind, method: Method) -> None:
    """A method about the clipping of single tokens needs an algorithm that clips single tokens."""
    if not (method.clip or method.needs_clip):
        return
    if not (kind.token_ratio and kind.loss_type in CLIPPED):
        what = (
            f"loss_type {kind.loss_type!r} does not clip"
            if kind.token_ratio
            else "its ratio is of whole completions"
        )
        raise InputError(
            f"method {method.name!r} changes how the ratio of single tokens is clipped, but "
            f"with {type(args).__name__} {what}; choose an algorithm that clips tokens, such as grpo"
        )
    if method.needs_clip and method.penalty:
        for name, default in (("top_entropy_quantile", 1.0), ("off_policy_mask_threshold", None)):
            if getattr(args, name, default) != default:
                raise InputError(
                    f"{name}={getattr(args, name)} leaves tokens out of TRL's loss where method "
                    f"{method.name!r} would still add to it; leave {name} out (for the most uncertain "
                    f"tokens, stack {method.name!r} with 'forking-tokens')"
                )


def _refuse_unfit(args: Any, kind: Kind, method: Method) -> None:
    if method.group_advantages and kind.critic:
        raise InputError(
            f"method {method.name!r} makes advantages out of a group's rewards, which would replace the "
            "critic; choose an algorithm without one, such as grpo"
        )
    if method.group_advantages and not kind.kl_in_loss and args.beta != 0:
        raise InputError(
            f"method {method.name!r} makes advantages out of the rewards alone, but with beta={args.beta} "
            f"{type(args).__name__} charges the KL to them; set beta to 0, or choose grpo, which has the KL "
            "in its loss"
        )
    if method.group_advantages:
        _refuse_ignored(args, method)
    if method.rewards and args.num_generations < 2:
        raise InputError(
            f"method {method.name!r} compares the completions of a group, but num_generations="
            f"{args.num_generations}; set it to 2 or more"
        )
    if method.token_advantages and kind.kl_in_loss and not kind.token_ratio and args.beta != 0:
        raise InputError(
            f"method {method.name!r} weighs single tokens; with the ratio of whole completions and "
            f"beta={args.beta} the KL term would be weighed too; set beta to 0"
        )
    if method.rewards and getattr(args, "multi_objective_aggregation", "") == "normalize_then_sum":
        raise InputError(
            f"method {method.name!r} changes the summed reward, which multi_objective_aggregation="
            "'normalize_then_sum' does not have; use 'sum_then_normalize'"
        )


def _refuse_ignored(args: Any, method: Method) -> None:
    """Advantages that a method makes out of rewards replace the host's, with what shapes the host's."""
    shaping = {
        "reward_clip_range": None,
        "normalize_advantages": False,
        "multi_objective_aggregation": "sum_then_normalize",
    }
    for name, default in shaping.items():
        if (value := getattr(args, name, default)) != default:
            raise InputError(
                f"method {method.name!r} makes its own advantages out of the rewards, so {name}={value!r} "
                f"would do nothing; set it to {default!r}"
            )


def _refuse_second_bonus(args: Any, method: Method) -> None:
    """Two bonuses would pull on the same entropy."""
    if method.controller is None:
        return
    for name in ("entropy_coef", "use_adaptive_entropy"):
        value = getattr(args, name, None)
        if value:
            raise InputError(
                f"{name}={value} switches on TRL's own entropy bonus beside the method {method.name!r}; "
                f"set {name} back to its default, or choose the method 'none'"
            )
