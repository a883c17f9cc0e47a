"""Run by test_distributed.py under torchrun: train on two gloo ranks and print what each ended with."""

import json
import os
import sys
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", CI="1")
sys.path.insert(0, str(Path(__file__).parent))

import conftest as tiny
import torch

from aent.trl import AEntGRPOConfig, AEntGRPOTrainer, AEntRLOOConfig, AEntRLOOTrainer

torch.set_num_threads(1)
folder = sys.argv[1]
tokenizer = tiny.tokenizer.__wrapped__()
prompts = tiny.prompts.__wrapped__()
make_model = tiny.make_model.__wrapped__()
reward = tiny.reward.__wrapped__()
grpo, rloo = (AEntGRPOTrainer, AEntGRPOConfig), (AEntRLOOTrainer, AEntRLOOConfig)
moving = {"name": "aent", "coef": 0.01, "low": 4.3, "high": 4.4, "lr": 0.02,
          "coef_min": 0.0, "coef_max": 0.5, "warmup": 0}  # fmt: skip
split = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1, "num_generations": 8}  # 4 a rank
runs = {
    "grpo": (*grpo, moving, {}),
    "rloo": (*rloo, moving, {}),
    "pass-at-k": (*grpo, {"name": "pass-at-k", "k": 3}, split),
    "unlikeliness": (*rloo, {"name": "unlikeliness", "b": 1.0}, split),
    "stare": (*grpo, {"name": "stare", "weight": 3.0, "target": 100.0}, split),
}


def keep_first(trainer, kept):
    """Keep the first rollouts of this rank, with the rewards of all."""
    generate = trainer._generate_and_score_completions

    def generate_and_keep(inputs):
        output = generate(inputs)
        if not kept:
            names = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask", "advantages")
            kept.update({name: output[name].tolist() for name in names})
            kept["rewards"] = trainer._aent_rollouts.rewards[:, 0].tolist()
        return output

    trainer._generate_and_score_completions = generate_and_keep


for name, (trainer_class, config, method, changes) in runs.items():
    trainer = trainer_class(
        model=make_model(),
        reward_funcs=reward,
        args=config(
            output_dir=f"{folder}/{name}", use_cpu=True, bf16=False, gradient_checkpointing=False,
            report_to="none", save_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
            beta=0.0, max_completion_length=8, learning_rate=1e-3, max_steps=3, seed=1, logging_steps=1,
            generation_kwargs={"eos_token_id": list(range(1, 20))},  # lengths differ over ranks
            **{"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2, "num_generations": 4}
            | changes,
        ),
        train_dataset=prompts,
        processing_class=tokenizer,
        method=method,
    )  # fmt: skip
    first: dict = {}
    keep_first(trainer, first)
    trainer.train()
    rank = trainer.accelerator.process_index
    result = {
        "coefs": [row["aent/coef"] for row in trainer.state.log_history if "aent/coef" in row],
        "coef": trainer.coef,
        "tokens": trainer._aent_rollouts.tokens_per_rank,
        "first": first,
        "weights": [p.detach().double().sum().item() for p in trainer.model.parameters()],
    }
    Path(folder, f"{name}-{rank}.json").write_text(json.dumps(result))
