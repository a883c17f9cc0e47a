"""The worker's half: what is put into verl's actor, and what is refused."""

from functools import partial
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead
from verl.workers.utils.losses import ppo_loss

from aent import InputError, __version__
from aent.subsets import Fraction
from aent.verl.engine import FromLogits
from aent.verl.loss import MethodLoss
from aent.verl.worker import AEntActorRolloutRefWorker, AEntDetachActorWorker, give_method


def worker(actor, **section):
    """A worker of verl after `init_model`, with an engine that has no model."""
    losses = []
    engine = FSDPEngineWithLMHead.__new__(FSDPEngineWithLMHead)
    training = SimpleNamespace(engine=engine, set_loss_fn=losses.append, losses=losses)
    defaults = {"method": {"name": "aent", "drop": 0.25}, "head": False, "version": __version__}
    config = OmegaConf.create({"aent": {**defaults, **section}})
    return SimpleNamespace(config=config, actor=training, loss_fn=partial(ppo_loss, config=actor()))


def test_the_actor_gets_its_method(actor):
    made = worker(actor)
    give_method(made)
    assert isinstance(made.actor.engine, FromLogits)
    assert isinstance(made.actor.engine, FSDPEngineWithLMHead)
    assert made.actor.engine.aent.subset == Fraction(drop=0.25)
    assert not made.actor.engine.aent.slopes
    (loss,) = made.actor.losses
    assert isinstance(loss, MethodLoss)
    assert loss.host_loss is made.loss_fn
    foresighted = worker(actor, method="aent-auto")
    give_method(foresighted)
    assert foresighted.actor.engine.aent.slopes


def test_a_list_is_a_stack_and_none_leaves_verl_alone(actor):
    made = worker(actor, method=["aent", "entropy-advantage"])
    give_method(made)
    assert made.actor.losses[0].method.name == "aent+entropy-advantage"
    plain = worker(actor, method="none")
    give_method(plain)
    assert type(plain.actor.engine) is FSDPEngineWithLMHead
    assert plain.actor.losses == []


def test_another_aent_on_a_node_is_refused(actor):
    with pytest.raises(InputError, match=rf"this worker has aent {__version__}, the driver 0\.0\.9"):
        give_method(worker(actor, version="0.0.9"))


def test_a_loss_that_is_not_verls_ppo_loss_is_refused(actor):
    made = worker(actor)
    made.loss_fn = partial(print, config=actor())
    with pytest.raises(InputError, match="aent adds to ppo_loss only"):
        give_method(made)


@pytest.mark.parametrize("cls", [AEntActorRolloutRefWorker, AEntDetachActorWorker])
def test_ray_finds_init_model_and_what_verl_registered(cls):
    from verl.single_controller.base.decorator import MAGIC_ATTR

    assert hasattr(cls.init_model, MAGIC_ATTR)
    assert hasattr(cls.update_actor, MAGIC_ATTR)
