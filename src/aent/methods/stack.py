"""Several methods at once, if they do not get in each other's way."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aent.errors import InputError
from aent.method import Method, Tokens
from aent.subsets import Full, Subset


def stacked(methods: Sequence[Method]) -> Method:
    """Return the method that does what all of these do.

    At most one of them may have a controller, which brings its subset, bonus and measure. The other methods
    see the entropy over that subset only if it is theirs too, else that over the whole vocabulary. No part
    may be filled twice. Two methods may set the same option of the host only to the same value.

    Raises:
        InputError: for fewer than two methods, or two that fill the same part, set an option to different
            values or have different subsets; it names both.
    """
    if len(methods) < 2:
        raise InputError(f"a stack takes two methods or more, not {[m.name for m in methods]}")
    owners: dict[str, Method] = {}
    for method in methods:
        for part in method.parts:
            other = owners.setdefault(part, method)
            if other is not method and part != "options":
                raise InputError(
                    f"methods {other.name!r} and {method.name!r} cannot be stacked: both fill {part!r}; "
                    "leave one of them out"
                )
    controlled = owners.get("controller", methods[0])
    subset = _subset(methods, owners.get("controller"))
    merged = {part: _on_own_subset(owner, part, subset) for part, owner in owners.items()}
    return Method(
        **merged
        | {
            "name": "+".join(m.name for m in methods),
            "options": _options(methods),
            "subset": subset,
            "bonus": controlled.bonus,
            "measure": controlled.measure,
            "needs_clip": any(m.needs_clip for m in methods),
            "needs_old_entropy": any(m.needs_old_entropy for m in methods),
            "needs_group_reward": any(m.needs_group_reward for m in methods),
            "paper": controlled.paper,
        }
    )


def _on_own_subset(method: Method, part: str, subset: Subset) -> Any:
    """Return a part of a method, with the entropy of its own subset where the stack measures another."""
    own = getattr(method, part)
    reads_tokens = part in ("token_advantages", "clip", "penalty")
    if not reads_tokens or isinstance(subset, Full) or not isinstance(method.subset, Full):
        return own

    def over_the_vocabulary(tokens: Tokens) -> Any:
        return own(replace(tokens, entropy=tokens.full_entropy))

    return over_the_vocabulary


def _subset(methods: Sequence[Method], controlled: Method | None) -> Subset:
    """Return the subset of the method with the controller or, without one, the one that was given.

    Raises:
        InputError: if another method has a subset of its own, which would not be used.
    """
    given = [method for method in methods if not isinstance(method.subset, Full)]
    owner = controlled or next(iter(given), methods[0])
    for other in given:
        if repr(other.subset) != repr(owner.subset):
            raise InputError(
                f"methods {owner.name!r} and {other.name!r} cannot be stacked: entropy is measured over one "
                f"subset, and they have {owner.subset} and {other.subset}; give both the same"
            )
    return owner.subset


def _options(methods: Sequence[Method]) -> dict[str, Any]:
    """Merge the options that the methods set; raise where two of them differ."""
    owners: dict[str, Method] = {}
    for method in methods:
        for option, value in method.options.items():
            other = owners.setdefault(option, method)
            if other.options[option] != value:
                raise InputError(
                    f"methods {other.name!r} and {method.name!r} cannot be stacked: they set {option} to "
                    f"{other.options[option]} and {value}; leave one of them out"
                )
    return {option: owner.options[option] for option, owner in owners.items()}
