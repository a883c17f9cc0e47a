"""From verl's configuration to a method, and from a method's options to verl's names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aent.errors import InputError, contradiction, unknown
from aent.method import Method
from aent.methods.load import load_method
from aent.verl.version import ours

PREFIX = "aent_"
"""What our trainers' names add to verl's."""
KEYS = ("method", "head")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The section ``aent`` of verl's configuration."""

    method: Method
    spec: Any
    """What the method was made from, as plain values: the workers load it again."""
    head: bool = False
    """Whether entropies come from the output layer, without logits; only with FSDP2."""


def read_settings(config: Any) -> Settings:
    """Read ``+aent.method`` (default: the method ``aent``) and ``+aent.head`` from verl's configuration.

    Raises:
        InputError: for an unknown key, a method as in `aent.methods.load.load_method`, or a `head` that is
            not a boolean.
    """
    section = _plain(config.get("aent") or {})
    for key in section:
        if key not in KEYS:
            raise unknown("key under aent:", str(key), KEYS)
    spec, head = section.get("method", "aent"), section.get("head", False)
    if not isinstance(head, bool):
        raise InputError(f"aent.head={head!r} must be true or false")
    return Settings(method=load_method(spec), spec=spec, head=head)


def _plain(section: Any) -> dict[str, Any]:
    from omegaconf import OmegaConf  # pyright: ignore[reportMissingImports]

    plain = OmegaConf.to_container(section, resolve=True) if OmegaConf.is_config(section) else section
    if not isinstance(plain, dict):
        raise InputError(f"aent={plain!r} must be a mapping; give +aent.method=NAME")
    return plain


def prepare(config: Any, settings: Settings) -> None:
    """Write into verl's configuration what the method needs, and what the workers read.

    verl compares its trainer's name with "sync" and reads a section of that name, so it gets its own back.

    Raises:
        InputError: for an option of the method that verl lacks or that was set to something else.
    """
    from omegaconf import open_dict  # pyright: ignore[reportMissingImports]

    with open_dict(config):
        v1 = config.trainer.v1
        v1.trainer_mode = v1.trainer_mode.removeprefix(PREFIX)
        for name, value in settings.method.options.items():
            if name not in OPTIONS:
                raise InputError(
                    f"method {settings.method.name!r} sets {name}, which verl does not have; known are "
                    f"{', '.join(OPTIONS)}"
                )
            OPTIONS[name](config, settings.method, value)
        if settings.method.parts:
            config.actor_rollout_ref.actor.calculate_entropy = True
        if settings.method.needs_old_entropy:
            # In chunks verl computes it in float32, as aent does the new one. Otherwise it may be bfloat16,
            # and the two would differ by rounding alone.
            config.actor_rollout_ref.actor.entropy_from_logits_with_chunking = True
        config.actor_rollout_ref.aent = {
            "method": settings.spec,
            "head": settings.head,
            "version": ours(),
        }


def _set(config: Any, method: Method, name: str, value: Any, default: Any) -> None:
    """Set an option of the actor that the user left at its default.

    Raises:
        InputError: if the user set it to something else.
    """
    actor = config.actor_rollout_ref.actor
    current = actor[name]
    if current not in (value, default):
        raise contradiction(f"actor_rollout_ref.actor.{name}", current, f"method {method.name!r}", value)
    actor[name] = value


def _epsilon(config: Any, method: Method, value: float) -> None:
    _set(config, method, "clip_ratio_low", value, 0.2)


def _epsilon_high(config: Any, method: Method, value: float) -> None:
    _set(config, method, "clip_ratio_high", value, 0.2)


def _beta(config: Any, method: Method, value: float) -> None:
    """TRL's KL is verl's ``low_var_kl``; its coefficient decides whether there is a reference policy."""
    _set(config, method, "use_kl_loss", value != 0, False)
    if value == 0:
        return
    _set(config, method, "kl_loss_coef", value, 0.001)
    _set(config, method, "kl_loss_type", "low_var_kl", "low_var_kl")


def _bias_correction(config: Any, method: Method, value: bool) -> None:
    if value:
        raise InputError(
            f"method {method.name!r} sets use_bias_correction_kl, which verl does not have; use TRL"
        )


OPTIONS: Mapping[str, Callable[[Any, Method, Any], None]] = {
    "epsilon": _epsilon,
    "epsilon_high": _epsilon_high,
    "beta": _beta,
    "use_bias_correction_kl": _bias_correction,
}
"""Options of a method, by TRL's name, to what they are in verl."""
