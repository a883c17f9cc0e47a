"""Run by test_fsdp.py on two ranks: train, whole and sharded, and write how each run ended."""

import json
import sys
from pathlib import Path

import tiny
import torch
from accelerate import DistributedType, PartialState
from torch.distributed.tensor import DTensor

from aent import InputError
from aent.trl import AEntGRPOConfig, AEntGRPOTrainer

FOLDER = Path(sys.argv[1])
FSDP = {"fsdp": True, "fsdp_config": {"version": 2, "transformer_layer_cls_to_wrap": ["Qwen2DecoderLayer"]}}
OPTIONS = {
    **tiny.QUIET,
    "output_dir": str(FOLDER / "out"),
    "per_device_train_batch_size": 8,
    "num_generations": 4,
    "generation_kwargs": {"eos_token_id": list(range(1, 20))},  # lengths differ over ranks
}


def train(tied=False, sharded=False, resume=None, **changes):
    args = AEntGRPOConfig(**OPTIONS | (FSDP if sharded else {}) | changes)
    if sharded:
        # accelerate takes up FSDP only on devices that it counts as accelerators; CPUs with gloo can do it
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    model = tiny.make_model(tie_word_embeddings=tied)
    trainer = tiny.trainer_of(AEntGRPOTrainer, args, tiny.MOVING, model)
    trainer.train(resume_from_checkpoint=resume)
    head = trainer.model.get_output_embeddings().weight
    parameters = [p.full_tensor() if isinstance(p, DTensor) else p for p in trainer.model.parameters()]
    return {
        "coefs": tiny.logged(trainer, "aent/coef"),
        "losses": tiny.logged(trainer, "loss"),
        "rows_of_the_head": len(head.to_local() if isinstance(head, DTensor) else head),
        "weights": torch.cat([p.detach().flatten() for p in parameters]).tolist(),
    }


several = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "steps_per_generation": 4}
saving = {"save_strategy": "steps", "save_steps": 2}
results = {
    "whole": train(),
    "whole, tied": train(tied=True),
    "sharded": train(sharded=True, **saving),
    "sharded, resumed": train(sharded=True, resume=str(FOLDER / "out/checkpoint-2")),
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
tiny.rank_file(FOLDER).write_text(json.dumps(results))
