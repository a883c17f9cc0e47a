"""TRL trainers with entropy control: change two names in a TRL script."""

from aent.trl.config import AEntGRPOConfig, AEntPPOConfig, AEntRLOOConfig
from aent.trl.ppo import AEntPPOTrainer
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
