"""verl's training step in one process: its trainer's, worker's and engine's own code, without Ray.

``torchrun ... one_process.py FOLDER`` trains the toy with every method for `STEPS` steps of two updates each.
It records them (`verl_on_cpu.record`) in ``FOLDER/{method}``, and what the trainer logged in ``logged.json``.
Rollouts are random tokens; TransferQueue is a dict.
"""

import json
import os
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.distributed as dist
import transfer_queue as tq
from engine_ranks import training_worker
from hydra import compose, initialize_config_module
from specs import SPECS
from verl.utils import tensordict_utils as tu
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.utils.losses import ppo_loss
from verl_on_cpu import toy

from aent.verl.export import written
from aent.verl.trainers import AEntTrainerSync
from aent.verl.worker import give_method

STEPS, PROMPTS, SIZE, MICRO = 3, 4, 4, 8
AENT = {"name": "aent", "low": 3.3, "high": 3.4, "coef": 0.01, "coef_max": 0.1, "lr": 0.1, "warmup": 0}
RUNS = {
    **SPECS,
    "aent": AENT,
    "pass-at-k": {
        "name": "pass-at-k",
        "k": 2,
        "threshold": 0.2,
    },  # so that some random answers are right
    "stack": [AENT, "entropy-advantage"],
}
"""The method of each run, as ``+aent.method`` has it."""


class Queue:
    """What verl uses of TransferQueue, for one batch whose rows keep their order."""

    def __init__(self):
        self.fields = {}

    def get(self, keys, partition_id, select_fields):
        return tu.get_tensordict({name: self.fields[name] for name in select_fields if name in self.fields})

    def put(self, keys, partition_id, fields):
        self.fields |= dict(fields.items())
        return tq.KVBatchMeta(keys=keys, tags=[{}] * len(keys), partition_id=partition_id)


class Workers:
    """A group of one worker, as the trainer calls it."""

    def __init__(self, worker, queue):
        self.worker, self.queue = worker, queue

    def _data(self, batch):
        data = tu.get_tensordict(dict(self.queue.fields))
        tu.assign_non_tensor(data, **batch.extra_info)
        return data

    def compute_log_prob(self, batch):
        scored = self.worker.infer_batch(self._data(batch))
        names = [name for name in ("log_probs", "entropy") if name in scored]
        self.queue.fields |= {name: scored[name] for name in names}
        return batch

    compute_ref_log_prob = compute_log_prob

    def update_actor(self, batch):
        return self.worker.train_mini_batch(self._data(batch))


class Loop(AEntTrainerSync):
    """aent's trainer, handed rollouts instead of waiting for them."""

    def __init__(self, config, folder, queue):
        super().__init__(config)
        self.queue, self.draw = queue, torch.Generator().manual_seed(7)
        self.replay_buffer = self
        self.reward_loop_manager = SimpleNamespace(reward_loop_worker_handles=())
        self.global_steps, self.total_training_steps, self.steps_per_epoch = 1, STEPS, STEPS
        self.ref_in_actor = False
        worker = training_worker(folder, lr=1e-2, micro=MICRO)
        actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
        host = SimpleNamespace(
            config=config.actor_rollout_ref, actor=worker, loss_fn=partial(ppo_loss, config=actor)
        )
        worker.set_loss_fn(host.loss_fn)
        give_method(host)
        self.actor_rollout_wg = Workers(worker, queue)
        if self.use_reference_policy:
            self.ref_policy_wg = Workers(training_worker(folder, micro=MICRO), queue)

    def prepare_step(self):
        return {}

    def on_sample_end(self):
        pass

    def _balance_batch(self, batch, metrics):
        return batch

    def sample(self, global_steps, partition_id, batch_size):
        """Rollouts of 3 to 8 tokens, one with a tool's output in it, and the toy's reward."""
        rows = range(PROMPTS * SIZE)
        prompts = [torch.tensor([3 + n // SIZE, 4, 5]) for n in rows]
        lengths = torch.randint(3, 9, (len(rows),), generator=self.draw).tolist()
        responses = [torch.randint(3, len(toy.TOKENS), (n,), generator=self.draw) for n in lengths]
        masks = [torch.ones(n, dtype=torch.long) for n in lengths]
        masks[1][1] = 0
        scores = [torch.zeros(n) for n in lengths]
        for row, ids in zip(scores, responses, strict=True):
            row[-1] = toy.compute_score("", "".join(toy.TOKENS[i] for i in ids), "")
        ids = [torch.cat(pair) for pair in zip(prompts, responses, strict=True)]
        columns = {
            "input_ids": ids,
            "position_ids": [torch.arange(len(row)) for row in ids],
            "prompts": prompts,
            "responses": responses,
            "response_mask": masks,
            "loss_mask": masks,
            "rm_scores": scores,
        }
        self.queue.fields = {
            name: torch.nested.as_nested_tensor(rows, layout=torch.jagged) for name, rows in columns.items()
        }
        self.queue.fields["uid"] = [str(n // SIZE) for n in rows]
        keys = [f"{n // SIZE}_{n % SIZE}_0" for n in rows]
        return tq.KVBatchMeta(keys=keys, tags=[{}] * len(keys), partition_id=partition_id), {}


def configuration(folder, spec):
    options = (
        "trainer.v1.trainer_mode=aent_sync",
        f"+aent.method={written(spec)}",
        f"data.train_batch_size={PROMPTS}",
        f"actor_rollout_ref.rollout.n={SIZE}",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={PROMPTS}",
        f"actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu={MICRO}",
        "actor_rollout_ref.actor.ppo_epochs=2",  # so that the second update of a step is off its policy
        "actor_rollout_ref.rollout.calculate_log_probs=false",
        f"actor_rollout_ref.actor.rollout_n={SIZE}",
    )
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", [*toy.overrides(folder, STEPS), *options])


def train(folder, name):
    os.environ["VERL_RECORD"] = str(folder / name)
    queue = Queue()
    tq.kv_batch_get, tq.kv_batch_put = queue.get, queue.put
    loop, logged = Loop(configuration(folder, RUNS[name]), folder, queue), []
    for _ in range(STEPS):
        metrics = {}
        loop.step(metrics, {})
        logged.append({key: float(value) for key, value in metrics.items() if key.startswith("aent/")})
        loop.global_steps += 1
    (folder / name / "logged.json").write_text(json.dumps(logged))


def main():
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    folder = Path(sys.argv[1])
    for name in sys.argv[2:] or RUNS:
        train(folder, name)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
