"""TRL trainers with entropy control: change two names in a TRL script."""

from aent.trl.config import AEntGRPOConfig, AEntRLOOConfig
from aent.trl.ppo import AEntPPOConfig, AEntPPOTrainer
from aent.trl.trainers import AEntGRPOTrainer, AEntMixin, AEntRLOOTrainer

__all__ = [
    "AEntGRPOConfig",
    "AEntGRPOTrainer",
    "AEntMixin",
    "AEntPPOConfig",
    "AEntPPOTrainer",
    "AEntRLOOConfig",
    "AEntRLOOTrainer",
]
