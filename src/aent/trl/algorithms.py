"""The trainer and configuration class of each algorithm."""

from typing import Any

from aent.algorithms import load_algorithm
from aent.trl.config import AEntGRPOConfig, AEntPPOConfig, AEntRLOOConfig
from aent.trl.ppo import AEntPPOTrainer
from aent.trl.trainers import AEntGRPOTrainer, AEntRLOOTrainer

CLASSES: dict[str, tuple[type[Any], type[Any]]] = {
    "GRPO": (AEntGRPOTrainer, AEntGRPOConfig),
    "RLOO": (AEntRLOOTrainer, AEntRLOOConfig),
    "PPO": (AEntPPOTrainer, AEntPPOConfig),
}
"""By `Algorithm.trainer`."""


def classes(name: str) -> tuple[type[Any], type[Any]]:
    """Return the trainer and the configuration class of an algorithm.

    Raises:
        InputError: for an unknown name.
    """
    return CLASSES[load_algorithm(name).trainer]
