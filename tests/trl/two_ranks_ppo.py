"""Run by test_distributed.py on two ranks: PPO; write what each rank ended with."""

import json
import sys

import tiny

from aent.trl import AEntPPOConfig, AEntPPOTrainer

FOLDER = sys.argv[1]
for critic in ("own", "shared"):
    model = tiny.make_model()
    model.generation_config.eos_token_id = list(range(1, 12))  # lengths differ over ranks
    args = AEntPPOConfig(
        **tiny.QUIET,
        output_dir=f"{FOLDER}/{critic}",
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        num_generations=1,
        critic=critic,
    )
    trainer = tiny.trainer_of(AEntPPOTrainer, args, {"name": "entropy-bonus", "coef": 0.01}, model)
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
        "value_loss": tiny.logged(trainer, "ppo/value_loss"),
    }
    tiny.rank_file(FOLDER, f"{critic}-").write_text(json.dumps(result))
