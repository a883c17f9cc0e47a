"""A method of your own in TRL's trainer: uncertain tokens only, and a bonus that fades.

    python examples/own_method.py --model ./policy --max_steps 20

Also usable by name: `aent train countdown --method own_method.fading` from this folder.
"""

import argparse
from dataclasses import dataclass
from typing import ClassVar

from aent import Method, TopP
from aent.controllers.base import Stateful
from aent.tasks import load_task
from aent.trl import AEntGRPOConfig, AEntGRPOTrainer


@dataclass
class Fading(Stateful):
    """``coef <- 0.99 coef`` after each step."""

    kept: ClassVar[tuple[str, ...]] = ("coef",)
    coef: float = 0.01
    band: ClassVar[None] = None

    def update(self, entropy: float) -> float:
        self.coef *= 0.99
        return self.coef


def only_uncertain(tokens):
    """Advantages [batch, tokens], 0 where the policy is sure: those tokens leave the policy gradient."""
    return tokens.advantages * (tokens.entropy > 0.1)


fading = Method(name="fading", subset=TopP(mass=0.9), token_advantages=only_uncertain, controller=Fading())


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="model folder or hub id")
    parser.add_argument("--max_steps", type=int, default=20)
    parser.add_argument("--output_dir", default="own-method")
    flags = parser.parse_args(argv)
    task = load_task("countdown")
    trainer = AEntGRPOTrainer(
        model=flags.model,
        reward_funcs=task.reward,
        args=AEntGRPOConfig(
            output_dir=flags.output_dir, max_steps=flags.max_steps, per_device_train_batch_size=16,
            num_generations=8, max_completion_length=16, logging_steps=1, save_strategy="no",
            report_to="none", bf16=False, use_cpu=True,
        ),
        train_dataset=task.dataset("train"),
        method=fading,
    )  # fmt: skip
    trainer.train()
    return trainer


if __name__ == "__main__":
    main()
