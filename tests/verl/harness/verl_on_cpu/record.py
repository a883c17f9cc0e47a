"""Writes down every update of the actor, so that a test can do it again by hand: VERL_RECORD names a folder.

``FOLDER/{number}.pt`` holds the mini-batch (rows of each field), the state that aent sent with it, the
weights before the update, the state of the random generator, and the gradients before they are clipped. It
is for runs with one worker.
"""

import os
from pathlib import Path

import torch


def rows(value):
    """A field of verl's batch as a list with one entry per rollout."""
    return [row.clone() for row in value.unbind()] if isinstance(value, torch.Tensor) else list(value)


def whole(tensor):
    """A parameter or gradient of FSDP as one tensor."""
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).detach().clone()


def record_updates(module):
    """Patch ``verl.workers.engine.base``."""
    from verl.utils import tensordict_utils as tu

    train = module.BaseEngine.train_batch

    def train_and_record(self, data, loss_function):
        folder = Path(os.environ["VERL_RECORD"])
        folder.mkdir(parents=True, exist_ok=True)
        parameters = dict(self.module.named_parameters())
        kept = {
            "fields": {
                key: rows(data[key])
                for key in map(str, data.keys())
                if key == "uid" or isinstance(data.get(key), torch.Tensor)
            },
            "aent": tu.get_non_tensor_data(data, key="aent", default=None),
            "micro": data["micro_batch_size_per_gpu"],
            "temperature": data["temperature"],
            "weights": {name: whole(value) for name, value in parameters.items()},
            "random": torch.get_rng_state(),
        }
        step = self.optimizer_step

        def keep_and_step():
            kept["gradients"] = {name: whole(value.grad) for name, value in parameters.items()}
            return step()

        self.optimizer_step = keep_and_step
        try:
            output = train(self, data, loss_function)
        finally:
            del self.optimizer_step
        torch.save(kept, folder / f"{len(list(folder.glob('*.pt')))}.pt")
        return output

    module.BaseEngine.train_batch = train_and_record
