"""Run by test_fsdp.py under torchrun: train on two gloo ranks, whole and sharded, and tell how each ended."""

import json
import os
import sys
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", CI="1")

import conftest as tiny
import torch
from accelerate import DistributedType, PartialState
from torch.distributed.tensor import DTensor

from aent import InputError
from aent.trl import AEntGRPOConfig, AEntGRPOTrainer

torch.set_num_threads(1)
folder = Path(sys.argv[1])
FSDP = {"fsdp": True, "fsdp_config": {"version": 2, "transformer_layer_cls_to_wrap": ["Qwen2DecoderLayer"]}}


def train(tied=False, sharded=False, resume=None, **changes):
    options = {
        "output_dir": str(folder / "out"), "use_cpu": True, "bf16": False, "gradient_checkpointing": False,
        "report_to": "none", "save_strategy": "no", "disable_tqdm": True, "dataloader_pin_memory": False,
        "beta": 0.0, "per_device_train_batch_size": 8, "num_generations": 4, "max_completion_length": 8,
        "learning_rate": 1e-3, "max_steps": 3, "seed": 1, "logging_steps": 1,
        "generation_kwargs": {"eos_token_id": list(range(1, 20))},  # lengths differ over ranks
    }  # fmt: skip
    args = AEntGRPOConfig(**options | (FSDP if sharded else {}) | changes)
    if sharded:
        # accelerate takes up FSDP only on devices that it counts as accelerators; CPUs with gloo can do it
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    trainer = AEntGRPOTrainer(
        model=tiny.make_model.__wrapped__()(tie_word_embeddings=tied),
        reward_funcs=tiny.reward.__wrapped__(),
        args=args,
        train_dataset=tiny.prompts.__wrapped__(),
        processing_class=tiny.tokenizer.__wrapped__(),
        method={"name": "aent", "coef": 0.01, "low": 4.3, "high": 4.4, "lr": 0.02,
                "coef_min": 0.0, "coef_max": 0.5, "warmup": 0},
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=resume)
    head = trainer.model.get_output_embeddings().weight
    parameters = [p.full_tensor() if isinstance(p, DTensor) else p for p in trainer.model.parameters()]
    return {
        "coefs": [row["aent/coef"] for row in trainer.state.log_history if "aent/coef" in row],
        "losses": [row["loss"] for row in trainer.state.log_history if "loss" in row],
        "rows_of_the_head": len(head.to_local() if isinstance(head, DTensor) else head),
        "weights": torch.cat([p.detach().flatten() for p in parameters]).tolist(),
    }


several = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "steps_per_generation": 4}
saving = {"save_strategy": "steps", "save_steps": 2}
results = {
    "whole": train(),
    "whole, tied": train(tied=True),
    "sharded": train(sharded=True, **saving),
    "sharded, resumed": train(sharded=True, resume=str(folder / "out/checkpoint-2")),
    "sharded, tied": train(sharded=True, tied=True),
    "whole, several passes": train(tied=True, **several),  # no rollouts before each
    "sharded, several passes": train(tied=True, sharded=True, **several),
    "sharded, checkpointed": train(
        sharded=True, fsdp_config={**FSDP["fsdp_config"], "activation_checkpointing": True}
    ),
}
try:
    train(sharded=True, fsdp_config={"version": 2, "transformer_layer_cls_to_wrap": ["Linear"]})
except InputError as error:
    results["head alone"] = str(error)
Path(folder, f"{os.environ['RANK']}.json").write_text(json.dumps(results))
