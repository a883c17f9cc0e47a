"""TRL's configurations with two fields more."""

from dataclasses import dataclass, field
from typing import Any

import yaml
from trl import GRPOConfig, RLOOConfig

from aent.errors import InputError

UPDATES = ("step", "rollout")


@dataclass
class AEntArguments:
    """What the AEnt trainers add to a TRL configuration."""

    aent_method: dict[str, Any] | str | None = field(
        default=None,
        metadata={
            "help": "How entropy is controlled: a method's name (see `aent methods`), a dotted path, or "
            "a mapping such as `{name: aent, low: 0.2, high: 0.4}` with arguments of the method. "
            "Defaults to `aent`."
        },
    )
    aent_update: str = field(
        default="step",
        metadata={
            "help": "When the coefficient moves: after every optimizer step (`step`) or, as in the AEnt "
            "paper, after all updates on a batch of rollouts (`rollout`)."
        },
    )

    def __post_init__(self) -> None:
        if isinstance(self.aent_method, str) and self.aent_method.lstrip().startswith("{"):
            try:
                self.aent_method = yaml.safe_load(self.aent_method)
            except yaml.YAMLError as error:
                raise InputError(
                    f"aent_method={self.aent_method!r} is not readable as YAML: {error}"
                ) from None
        if self.aent_update not in UPDATES:
            raise InputError(f"aent_update={self.aent_update!r} must be one of {', '.join(UPDATES)}")
        super().__post_init__()  # type: ignore[misc]  # the TRL configuration that comes next in the bases


@dataclass
class AEntGRPOConfig(AEntArguments, GRPOConfig):
    """`trl.GRPOConfig` with `aent_method` and `aent_update`."""


@dataclass
class AEntRLOOConfig(AEntArguments, RLOOConfig):
    """`trl.RLOOConfig` with `aent_method` and `aent_update`."""
