"""The driver's hooks, over trainers that record what they are asked for."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import transfer_queue as tq
from verl.trainer.ppo.utils import Role

from aent import InputError
from aent.steering import Sums
from aent.verl.trainers import (
    AEntMixin,
    AEntTrainerColocateAsync,
    AEntTrainerSeparateAsync,
    AEntTrainerSync,
)
from aent.verl.window import PREFIX

BAND = "{name: aent, low: 2.9, high: 3.2, coef: 0.01, coef_max: 0.1, lr: 0.05, warmup: 0}"


def jagged(rows):
    return torch.nested.as_nested_tensor([torch.tensor(row) for row in rows], layout=torch.jagged)


class Host:
    """A trainer of verl without Ray: two updates of the actor per step; an estimator that reads rewards."""

    def __init__(self, config):
        self.config, self.global_steps, self.total_training_steps = config, 1, 10
        self.steps_per_epoch = 5
        self.seen, self.told, self.log, self.entropy = [], [], [], 2.8
        self.role_worker_mapping = {}

    def _init_resource_pool_mgr(self):
        self.role_worker_mapping = {Role.ActorRolloutRef: "verl's", Role.Critic: "verl's"}

    def _compute_advantage(self, batch, metrics):
        self.seen.append(self.queue["rm_scores"])
        self.queue["advantages"] = "verl's"
        return batch

    def _update_actor(self, batch, metrics):
        self.told.append(batch.extra_info.get("aent"))
        sums = Sums(
            entropy=10 * self.entropy, full_entropy=30.0, weight=10.0, tokens=10.0, pull=0.0, push=0.0
        )
        metrics |= {PREFIX + name: value for name, value in sums._asdict().items()}
        return batch

    def step(self, metrics, timing_raw):
        batch = SimpleNamespace(extra_info={})
        for _ in range(2):
            self._update_actor(batch, {} if timing_raw is None else metrics)
        return batch

    def _save_checkpoint(self):
        place = Path(self.config.trainer.default_local_dir) / f"global_step_{self.global_steps}"
        self.log.append(json.loads((place / "aent.json").read_text()))  # it is there before verl saves

    def _load_checkpoint(self):
        self.log.append("verl loaded")


class Trainer(AEntMixin, Host):
    """Ours."""


@pytest.fixture
def make(compose, tmp_path):
    def make(method, *overrides):
        folder = f"trainer.default_local_dir={tmp_path}/checkpoints"
        return Trainer(compose(f"+aent.method={method}", folder, *overrides))

    return make


def test_one_update_of_the_coefficient_per_step(make):
    """0.01 - 0.05 (2.8 - 2.9) = 0.015."""
    trainer, metrics = make(BAND), {}
    trainer.global_steps = 4
    trainer.step(metrics, {})
    told = {"coef": 0.01, "band": (2.9, 3.2), "last_entropy": None, "remaining": 0.7}
    assert trainer.told == [told, told]
    assert metrics == pytest.approx(
        {
            "aent/coef": 0.01,
            "aent/low": 2.9,
            "aent/high": 3.2,
            "aent/entropy": 2.8,
            "aent/full_entropy": 3.0,
        }
    )
    trainer.step({}, {})
    assert trainer.told[-1]["coef"] == pytest.approx(0.015)
    assert trainer.told[-1]["last_entropy"] == pytest.approx(2.8)


def test_the_controller_is_told_what_remains(make):
    trainer = make("{name:entropy-bonus,controller:track}")
    trainer.global_steps = 4
    trainer.step({}, {})
    assert trainer.aent_window.controller.remaining == pytest.approx(0.6)  # after the fourth of ten steps


def test_the_training_ends_with_its_epochs_if_they_come_first(make):
    """One epoch of five steps, where ten were asked for: verl stops after the fifth."""
    trainer = make("{name:entropy-bonus,controller:track}", "trainer.total_epochs=1")
    trainer.global_steps = 4
    trainer.step({}, {})
    assert trainer.told[0]["remaining"] == pytest.approx(0.4)
    assert trainer.aent_window.controller.remaining == pytest.approx(0.2)


def test_a_worker_without_aent_stops_the_first_step(make, monkeypatch):
    monkeypatch.setattr(Host, "_update_actor", lambda self, batch, metrics: batch)
    with pytest.raises(InputError, match="the workers reported no actor/aent/entropy"):
        make(BAND).step({}, {})


def test_none_is_verl(make):
    trainer, metrics = make("none"), {}
    trainer._compute_advantage = None
    trainer.step(metrics, {})
    assert trainer.told == [None, None]
    assert not any(name.startswith("aent/") for name in metrics)


def test_refusals_come_before_verl_starts(make):
    with pytest.raises(InputError, match="entropy_coeff"):
        make(BAND, "actor_rollout_ref.actor.entropy_coeff=0.1")


@pytest.fixture
def queue(monkeypatch):
    """verl's TransferQueue as a dict: two prompts, two rollouts each."""
    fields = {
        "rm_scores": jagged([[0.0, 1.0], [0.0], [0.5], [0.0, 0.0, 0.25]]),
        "old_log_probs": jagged([[-1.0, -1.0], [-2.0], [-1.0], [-1.0, -1.0, -1.0]]),
        "response_mask": jagged([[1, 1], [1], [1], [1, 1, 1]]),
    }

    def get(keys, partition_id, select_fields):
        return {name: fields[name] for name in select_fields}

    monkeypatch.setattr(tq, "kv_batch_get", get)

    def put(keys, partition_id, fields: dict):
        Host.queue.update(dict(fields.items()))
        return SimpleNamespace(keys=keys, partition_id=partition_id, extra_info={})

    monkeypatch.setattr(tq, "kv_batch_put", put)
    Host.queue = dict(fields)
    return Host.queue


KEYS = ["a_0_0", "a_1_0", "b_0_0", "b_1_0"]
BATCH = SimpleNamespace(keys=KEYS, tags=[{}] * 4, partition_id="train", extra_info={})


def test_the_loss_is_told_how_well_each_prompt_is_solved(make, queue):
    make("aent-auto", "actor_rollout_ref.rollout.n=2")._compute_advantage(BATCH, {})
    assert queue["aent_solved"].flatten().tolist() == [0.5, 0.5, 0.0, 0.0]
    assert queue["advantages"] == "verl's"


def test_a_method_that_asks_for_neither_rewards_nor_groups_exchanges_nothing(make, queue, monkeypatch):
    def get(**_):
        raise AssertionError("an exchange that no part of the method needs")

    monkeypatch.setattr(tq, "kv_batch_get", get)
    make("aent", "actor_rollout_ref.rollout.n=2")._compute_advantage(BATCH, {})
    assert queue["advantages"] == "verl's"
    assert not any(name.startswith("aent_") for name in queue)


def test_verls_estimator_sees_changed_rewards_and_verls_log_the_true_ones(make, queue):
    true = queue["rm_scores"].values().tolist()
    trainer = make("unlikeliness", "actor_rollout_ref.rollout.n=2")
    trainer._compute_advantage(BATCH, {})
    assert trainer.seen[0].values().tolist() != true
    assert queue["rm_scores"].values().tolist() == true


def test_a_methods_group_advantages_replace_the_estimators(make, queue):
    make("{name: pass-at-k, k: 1}", "actor_rollout_ref.rollout.n=2")._compute_advantage(BATCH, {})
    assert [row.tolist() for row in queue["advantages"].unbind()] == [[1, 1], [-1], [0], [0, 0, 0]]


def test_state_is_written_first_and_found_where_verl_resumes(make, tmp_path):
    trainer = make(BAND)
    trainer.step({}, {})
    trainer.global_steps = 3
    trainer._save_checkpoint()
    assert trainer.log[0]["controller"]["coef"] == pytest.approx(0.015)
    fresh = make(BAND)
    fresh._load_checkpoint()
    assert (fresh.log, fresh.aent_window.coef) == (["verl loaded"], 0.01)  # verl has marked none
    (tmp_path / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("3")
    fresh._load_checkpoint()
    assert fresh.aent_window.coef == pytest.approx(0.015)
    assert fresh.aent_window.last_entropy == pytest.approx(2.8)
    with pytest.raises(InputError, match="written by method 'aent', not 'siren'"):
        make("siren")._load_checkpoint()


@pytest.mark.parametrize(
    ("cls", "worker"),
    [
        (AEntTrainerSync, "AEntActorRolloutRefWorker"),
        (AEntTrainerColocateAsync, "AEntActorRolloutRefWorker"),
        (AEntTrainerSeparateAsync, "AEntDetachActorWorker"),
    ],
)
def test_each_trainer_starts_our_worker_for_the_actor_alone(cls, worker, make):
    trainer = type("Ours", (AEntMixin, Host), {"worker": cls.worker})(make("none").config)
    trainer._init_resource_pool_mgr()
    started = trainer.role_worker_mapping[Role.ActorRolloutRef]
    assert started.__ray_metadata__.class_name == worker
    assert trainer.role_worker_mapping[Role.Critic] == "verl's"
    assert cls.__mro__[1] is AEntMixin
