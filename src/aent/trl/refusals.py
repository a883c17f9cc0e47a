"""Whether a method and a host's options go together; asked before anything is made."""

import copy
from dataclasses import MISSING, fields
from typing import Any

from aent.errors import InputError, contradiction, unknown
from aent.method import Method
from aent.trl.host import CLIPPED, LOSS_TYPES, has_token_ratio


def fitted(args: Any, method: Method) -> Any:
    """Return the host's options with those of the method set.

    Raises:
        InputError: for a loss type that does not exist, an option that was set to something else, TRL's own
            entropy bonus beside ours, or a method that needs what this algorithm has not.
    """
    if getattr(args, "loss_type", "grpo") not in LOSS_TYPES:
        raise unknown("loss_type", args.loss_type, LOSS_TYPES)
    _refuse_second_bonus(args, method)
    _refuse_other_clipping(args, method)
    args = _with_options(args, method)
    _refuse_unfit(args, method)
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
        given = getattr(args, name)
        if given != value and defaults[name] is not MISSING and given not in (defaults[name], None):
            raise contradiction(name, given, f"method {method.name!r}", value)
        setattr(args, name, value)
    return args


def _refuse_other_clipping(args: Any, method: Method) -> None:
    """A method about the clipping of single tokens needs an algorithm that does just that."""
    if not (method.clip or method.needs_clip):
        return
    token_ratio, loss = has_token_ratio(args), getattr(args, "loss_type", None)
    if not (token_ratio and loss in CLIPPED):
        what = f"loss_type {loss!r} does not clip" if token_ratio else "its ratio is of whole completions"
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


def _refuse_unfit(args: Any, method: Method) -> None:
    critic = hasattr(args, "value_coef")
    if method.group_advantages and critic:
        raise InputError(
            f"method {method.name!r} makes advantages out of a group's rewards, which would replace the "
            "critic; choose an algorithm without one, such as grpo"
        )
    in_loss = hasattr(args, "loss_type")  # where RLOO has none, its KL is charged to the reward
    if method.group_advantages and not in_loss and args.beta != 0:
        raise InputError(
            f"method {method.name!r} makes advantages out of the rewards alone, but with beta={args.beta} "
            f"{type(args).__name__} charges the KL to them; set beta to 0, or choose grpo, which has the KL "
            "in its loss"
        )
    if method.token_advantages and in_loss and not has_token_ratio(args) and args.beta != 0:
        raise InputError(
            f"method {method.name!r} weighs single tokens; with the ratio of whole completions and "
            f"beta={args.beta} the KL term would be weighed too; set beta to 0"
        )
    if method.rewards and getattr(args, "multi_objective_aggregation", "") == "normalize_then_sum":
        raise InputError(
            f"method {method.name!r} changes the summed reward, which multi_objective_aggregation="
            "'normalize_then_sum' does not have; use 'sum_then_normalize'"
        )


def _refuse_second_bonus(args: Any, method: Method) -> None:
    """Two bonuses would fight over one quantity."""
    if method.controller is None:
        return
    for name in ("entropy_coef", "use_adaptive_entropy"):
        value = getattr(args, name, None)
        if value:
            raise InputError(
                f"{name}={value} switches on TRL's own entropy bonus beside the method {method.name!r}; "
                f"set {name} back to its default, or choose the method 'none'"
            )
