"""Every algorithm by its name, with and without an entropy method."""

import pytest
import torch

from aent import Method
from aent.algorithms import ALGORITHMS, with_options
from aent.trl.algorithms import classes

BATCH = {"per_device_train_batch_size": 8, "num_generations": 4, "max_completion_length": 4, "max_steps": 2}
AENT = {"name": "aent", "drop": 0.25, "coef": 0.005, "low": 4.3, "high": 4.4, "warmup": 0}


@pytest.mark.parametrize("method", ["none", AENT], ids=["none", "aent"])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_trains(name, method, build, options):
    trainer_class, config = classes(name)
    given = with_options(name, options | BATCH)
    if (
        name == "dapo"
    ):  # here no completion ends by itself within four tokens, and DAPO leaves out those cut off
        given["generation_kwargs"] = {"eos_token_id": list(range(1, 60))}
    trainer = build(trainer_class, config, given, method=method)
    for option, value in ALGORITHMS[name].options.items():
        assert getattr(trainer.args, option) == value
    start = [p.detach().clone() for p in trainer.model.parameters()]
    trainer.train()
    assert trainer.state.global_step == 2
    assert all(p.isfinite().all() for p in trainer.model.parameters())
    assert any(not torch.equal(p, s) for p, s in zip(trainer.model.parameters(), start, strict=True))


def ratios(name, build, options):
    """The importance ratio of every token that counts, over a run."""
    seen = []

    def watch(tokens):
        seen.append(tokens.ratio[tokens.mask.bool()].detach())
        return tokens.advantages

    trainer_class, config = classes(name)
    method = Method(name="watch", token_advantages=watch)
    build(trainer_class, config, with_options(name, options), method=method).train()
    return torch.cat(seen)


def test_the_ratio_of_a2c_is_1_and_that_of_ppo_need_not_be(build, options):
    options |= BATCH | {"gradient_accumulation_steps": 2, "max_steps": 4}
    assert (ratios("a2c", build, options) == 1).all()
    reused = ratios("ppo", build, options | {"num_iterations": 2})
    assert (reused != 1).any()
