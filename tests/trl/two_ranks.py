"""Run by test_distributed.py on two ranks: train and write what each rank ended with."""

import json
import sys

import tiny

from aent.trl import AEntGRPOConfig, AEntGRPOTrainer, AEntRLOOConfig, AEntRLOOTrainer

FOLDER = sys.argv[1]
GRPO, RLOO = (AEntGRPOTrainer, AEntGRPOConfig), (AEntRLOOTrainer, AEntRLOOConfig)
WHOLE = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2, "num_generations": 4}
SPLIT = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1, "num_generations": 8}  # 4 a rank
RUNS = {
    "grpo": (*GRPO, tiny.MOVING, WHOLE),
    "rloo": (*RLOO, tiny.MOVING, WHOLE),
    "pass-at-k": (*GRPO, {"name": "pass-at-k", "k": 3}, SPLIT),
    "unlikeliness": (*RLOO, {"name": "unlikeliness", "b": 1.0}, SPLIT),
    "stare": (*GRPO, {"name": "stare", "weight": 3.0, "target": 100.0}, SPLIT),
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


for name, (kind, config, method, changes) in RUNS.items():
    lengths = {"generation_kwargs": {"eos_token_id": list(range(1, 20))}}  # they differ over ranks
    args = config(**tiny.QUIET | lengths | changes, output_dir=f"{FOLDER}/{name}")
    trainer = tiny.trainer_of(kind, args, method)
    first: dict = {}
    keep_first(trainer, first)
    trainer.train()
    result = {
        "coefs": tiny.logged(trainer, "aent/coef"),
        "coef": trainer.coef,
        "tokens": trainer._aent_rollouts.tokens_per_rank,
        "first": first,
        "weights": [p.detach().double().sum().item() for p in trainer.model.parameters()],
    }
    tiny.rank_file(FOLDER, f"{name}-").write_text(json.dumps(result))
