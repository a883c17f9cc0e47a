"""Policy-gradient algorithms by name: each is a trainer of the host with some options fixed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal

from aent.errors import InputError, contradiction, unknown


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """A trainer with some options fixed."""

    about: str
    """One line."""
    source: str
    trainer: Literal["GRPO", "RLOO", "PPO"]
    """The trainer that runs it: ``AEnt...Trainer`` of `aent.trl`, with an ``AEnt...Config``."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the trainer that define this algorithm."""
    on_policy: bool = False
    """Whether each batch of rollouts serves only one optimizer step, so that every importance ratio is 1."""
    missing: str = ""
    """What the published algorithm has and this one lacks."""


ALGORITHMS: dict[str, Algorithm] = {
    "grpo": Algorithm(
        trainer="GRPO",
        about="advantages relative to a group, with the ratio of each token clipped",
        source="DeepSeekMath (arXiv 2402.03300)",
        missing="the mean over completions: TRL's default is DAPO's mean over tokens (loss_type)",
    ),
    "rloo": Algorithm(
        trainer="RLOO",
        about="REINFORCE with the mean of the other completions as baseline",
        source="RLOO (arXiv 2402.14740)",
    ),
    "ppo": Algorithm(
        trainer="PPO",
        about="a learned critic, generalized advantages, and the ratio of each token clipped",
        source="PPO (arXiv 1707.06347), GAE (arXiv 1506.02438)",
        missing="InstructGPT's KL penalty inside the reward: with beta, the KL is in the loss",
    ),
    "a2c": Algorithm(
        trainer="PPO",
        about="a learned critic, one step on each batch, and plain returns as estimates (lam 1)",
        source="A3C (arXiv 1602.01783), in its synchronous form",
        options={"num_iterations": 1, "lam": 1.0, "value_clip": inf, "whiten": False},
        on_policy=True,
        missing="the entropy bonus, which is a method in aent: entropy-bonus",
    ),
    "reinforce++": Algorithm(
        trainer="RLOO",
        about="RLOO with advantages normalized over the batch",
        source="REINFORCE++ (arXiv 2501.03262)",
        options={"normalize_advantages": True},
        missing="the ratio and the KL of single tokens: TRL has those of whole completions here; "
        "the baseline is RLOO's, where the paper takes none or the group's mean",
    ),
    "gspo": Algorithm(
        trainer="GRPO",
        about="GRPO with one ratio per completion, the geometric mean of its tokens' ratios",
        source="GSPO (arXiv 2507.18071, section 5.1)",
        options={
            "importance_sampling_level": "sequence",
            "loss_type": "grpo",
            "epsilon": 3e-4,
            "epsilon_high": 4e-4,
        },
        missing="four optimizer steps per batch of rollouts, without which every ratio is 1; set "
        "steps_per_generation to 4 times gradient_accumulation_steps",
    ),
    "dr-grpo": Algorithm(
        trainer="GRPO",
        about="GRPO without its two biases: no division by the group's standard deviation or by the length",
        source="Dr. GRPO (arXiv 2503.20783)",
        options={"loss_type": "dr_grpo", "scale_rewards": "none"},
    ),
    "dapo": Algorithm(
        trainer="GRPO",
        about="GRPO with a higher upper clip and a mean over tokens, without truncated completions or KL",
        source="DAPO (arXiv 2503.14476)",
        options={
            "loss_type": "dapo",
            "epsilon": 0.2,
            "epsilon_high": 0.28,
            "mask_truncated_completions": True,
            "beta": 0.0,
        },
        missing="dynamic sampling (TRL draws no new prompts for groups with equal rewards), and the soft "
        "punishment of overlong answers, which is a reward function: trl.rewards",
    ),
    "cispo": Algorithm(
        trainer="GRPO",
        about="REINFORCE with group advantages, weighted by a ratio that is capped above",
        source="MiniMax-M1 (arXiv 2506.13585); epsilon_high of ScaleRL (arXiv 2510.13786)",
        options={"loss_type": "cispo", "epsilon_high": 5.0},
        missing="the value of epsilon_high, which MiniMax-M1 did not publish",
    ),
}


def load_algorithm(name: str) -> Algorithm:
    """Return the algorithm with this name.

    Raises:
        InputError: for an unknown name; it lists the known ones.
    """
    if name not in ALGORITHMS:
        raise unknown("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]


def with_options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given options together with those of the algorithm.

    Raises:
        InputError: for an unknown name, or for a given option that contradicts the algorithm; it names both.
    """
    algorithm = load_algorithm(name)
    fixed = dict(algorithm.options)
    if algorithm.on_policy:
        fixed["steps_per_generation"] = given.get("gradient_accumulation_steps", 1)
        if given.get("generation_batch_size") is not None:
            raise InputError(
                f"generation_batch_size={given['generation_batch_size']} was given, but algorithm {name!r} "
                "takes one step on each batch of rollouts, so that its size follows; leave it out"
            )
    for option, value in fixed.items():
        if given.get(option, value) != value:
            raise contradiction(option, given[option], f"algorithm {name!r}", value)
    return {**given, **fixed}
