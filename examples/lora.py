"""AEnt on a LoRA adapter: only the adapter is trained and saved.

python examples/lora.py --model Qwen/Qwen2.5-0.5B-Instruct --max_steps 100
aent eval --model lora --task countdown          # an adapter folder works wherever a model does
"""

import argparse

from peft import LoraConfig

from aent.tasks import load_task
from aent.trl import AEntGRPOConfig, AEntGRPOTrainer


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="model folder or hub id")
    parser.add_argument("--max_steps", type=int, default=100)
    parser.add_argument("--output_dir", default="lora")
    flags = parser.parse_args(argv)
    task = load_task("countdown")
    trainer = AEntGRPOTrainer(
        model=flags.model,
        reward_funcs=task.reward,
        args=AEntGRPOConfig(
            output_dir=flags.output_dir, aent_method="aent-auto", max_steps=flags.max_steps,
            per_device_train_batch_size=16, num_generations=8, max_completion_length=16, logging_steps=1,
            learning_rate=1e-4, save_strategy="no", report_to="none", bf16=False, use_cpu=True,
        ),
        train_dataset=task.dataset("train"),
        peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"),
    )  # fmt: skip
    trainer.train()
    trainer.save_model()
    return trainer


if __name__ == "__main__":
    main()
