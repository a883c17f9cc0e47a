"""Run by test_recipes.py under torchrun with the environment of `accelerate launch`: `aent train` on CPUs."""

import os
import sys
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", CI="1")

import torch
from accelerate import DistributedType, PartialState
from torch.distributed.tensor import DTensor

from aent.cli.main import main
from aent.training.run import Run

torch.set_num_threads(1)
start, save = Run.start, Run._save


def start_sharded(self, folder):
    # accelerate takes up FSDP only on devices that it counts as accelerators; CPUs with gloo can do it
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    start(self, folder)


def save_and_tell(self, trainer, folder):
    head = trainer.model.get_output_embeddings().weight
    rows = len(head.to_local()) if isinstance(head, DTensor) else len(head)
    Path(folder.path, f"rows-of-the-head-{os.environ['RANK']}").write_text(f"{rows} of {len(head)}")
    save(self, trainer, folder)


Run.start, Run._save = start_sharded, save_and_tell
sys.exit(main(sys.argv[1:]))
