"""TRL's configurations with the fields of entropy control and of PPO."""

from dataclasses import dataclass, field
from typing import Any

import yaml
from trl import GRPOConfig, RLOOConfig

from aent.errors import InputError, unknown
from aent.spec import read_yaml
from aent.trl.host import CLIPPED

UPDATES = ("step", "rollout")
CRITICS = ("own", "shared")
TOKEN_LOSSES = tuple(loss for loss in CLIPPED if loss != "luspo")
"""GRPO's loss types that accept an advantage for each token."""


@dataclass
class AEntArguments:
    """The fields that the AEnt trainers add to a TRL configuration."""

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
                self.aent_method = read_yaml(self.aent_method)
            except yaml.YAMLError as error:
                raise InputError(
                    f"aent_method={self.aent_method!r} is not readable as YAML: {error}"
                ) from None
        if self.aent_update not in UPDATES:
            raise InputError(f"aent_update={self.aent_update!r} must be one of {', '.join(UPDATES)}")
        super().__post_init__()  # type: ignore[misc]  # the TRL configuration that comes next in the bases


class _One(int):
    """One completion per prompt, while TRL checks the configuration.

    GRPO refuses fewer than two, because its baseline is their mean. Here the critic is the baseline, and all
    other checks still have to see the true number.
    """

    def __lt__(self, other: int) -> bool:
        return other > 2 and super().__lt__(other)


@dataclass
class PPOConfig(GRPOConfig):
    """`trl.GRPOConfig` with the options of a critic.

    Unless another source is named, the defaults are those of TRL's own PPO (`PPOConfig`, until TRL 1.12).

    Raises:
        InputError: for a value out of range, or an option of GRPO that PPO cannot honor.
    """

    scale_rewards: str = field(
        default="none", metadata={"help": "Not used: advantages come from the critic. Must be `none`."}
    )
    gamma: float = field(
        default=1.0, metadata={"help": "Discount per token, in [0, 1]. 1 in InstructGPT, TRL and verl."}
    )
    lam: float = field(
        default=0.95,
        metadata={"help": "Lambda of generalized advantage estimation, in [0, 1]; 1 is return minus value."},
    )
    value_coef: float = field(default=0.1, metadata={"help": "Weight of the value loss in the loss."})
    value_clip: float = field(
        default=0.2,
        metadata={"help": "How far a value may move from its old one before the loss stops it; or `inf`."},
    )
    whiten: bool = field(
        default=True,
        metadata={"help": "Whether to bring advantages to mean 0 and deviation 1 over a batch of rollouts."},
    )
    critic: str = field(
        default="own",
        metadata={
            "help": "`own`: a copy of the policy's body with a value head. `shared`: a value head on the "
            "policy's body, which then also learns from the value loss."
        },
    )
    critic_learning_rate: float | None = field(
        default=None,
        metadata={
            "help": "Learning rate of the critic, on the policy's schedule. Defaults to `learning_rate`; "
            "verl uses 1e-5 with 1e-6 for the policy."
        },
    )

    def __post_init__(self) -> None:
        single = self.num_generations == 1
        if single:
            self.num_generations = _One(1)
        super().__post_init__()
        if single:
            self.num_generations = 1
        if self.critic_learning_rate is None:
            self.critic_learning_rate = self.learning_rate
        self._check_critic()
        self._check_host()

    def _check_critic(self) -> None:
        if self.critic not in CRITICS:
            raise unknown("critic", self.critic, CRITICS)
        for name in ("gamma", "lam"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name}={getattr(self, name)} must be between 0 and 1")
        for name in ("value_coef", "value_clip", "critic_learning_rate"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}={getattr(self, name)} must be above 0")

    def _check_host(self) -> None:
        allowed = {
            "loss_type": TOKEN_LOSSES,
            "importance_sampling_level": ("token",),
            "scale_rewards": ("none",),
            "multi_objective_aggregation": ("sum_then_normalize",),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise InputError(
                    f"{name}={getattr(self, name)!r} does not go with PPO, whose critic gives each token its "
                    f"own advantage; it must be {' or '.join(values)}"
                )


@dataclass
class AEntGRPOConfig(AEntArguments, GRPOConfig):
    """`trl.GRPOConfig` with `aent_method` and `aent_update`."""


@dataclass
class AEntRLOOConfig(AEntArguments, RLOOConfig):
    """`trl.RLOOConfig` with `aent_method` and `aent_update`."""


@dataclass
class AEntPPOConfig(AEntArguments, PPOConfig):
    """`trl.GRPOConfig` with the options of a critic, `aent_method` and `aent_update`."""
