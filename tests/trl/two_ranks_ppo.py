"""Run by test_ppo.py under torchrun: PPO on two gloo ranks; writes what each ended with."""

import json
import os
import sys
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", CI="1")
sys.path.insert(0, str(Path(__file__).parent))

import conftest as tiny
import torch

from aent.trl import AEntPPOConfig, AEntPPOTrainer

torch.set_num_threads(1)
folder = sys.argv[1]
tokenizer = tiny.tokenizer.__wrapped__()
prompts = tiny.prompts.__wrapped__()
reward = tiny.reward.__wrapped__()
for critic in ("own", "shared"):
    model = tiny.make_model.__wrapped__()()
    model.generation_config.eos_token_id = list(range(1, 12))  # lengths differ over ranks
    trainer = AEntPPOTrainer(
        model=model,
        reward_funcs=reward,
        args=AEntPPOConfig(
            output_dir=f"{folder}/{critic}", use_cpu=True, bf16=False, gradient_checkpointing=False,
            report_to="none", save_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
            per_device_train_batch_size=4, gradient_accumulation_steps=2, num_generations=1, critic=critic,
            max_completion_length=8, learning_rate=1e-3, max_steps=3, seed=1, logging_steps=1,
        ),
        train_dataset=prompts,
        processing_class=tokenizer,
        method={"name": "entropy-bonus", "coef": 0.01},
    )  # fmt: skip
    advantages, tokens = [], []
    generate = trainer._generate_and_score_completions

    def remember(inputs, generate=generate, advantages=advantages, tokens=tokens):
        output = generate(inputs)
        mask = output["completion_mask"].bool()
        advantages.append(output["advantages"][mask].tolist())
        tokens.append(int(mask.sum()))
        return output

    trainer._generate_and_score_completions = remember
    trainer.train()
    result = {
        "advantages": advantages,
        "tokens": tokens,
        "critic": [p.detach().double().sum().item() for p in trainer.critic.parameters()],
        "weights": [p.detach().double().sum().item() for p in trainer.model.parameters()],
        "value_loss": [r["ppo/value_loss"] for r in trainer.state.log_history if "ppo/value_loss" in r],
    }
    rank = trainer.accelerator.process_index
    Path(folder, f"{critic}-{rank}.json").write_text(json.dumps(result))
