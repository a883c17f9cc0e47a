"""The options of an exported recipe are verl's: its own configuration takes them, and aent accepts it."""

import shlex

import pytest
from hydra import compose, initialize_config_module

from aent import InputError
from aent.runs.recipe import load_recipe, recipe_names
from aent.verl.config import prepare, read_settings
from aent.verl.export import ALGORITHMS, AVERAGES, export, written
from aent.verl.refusals import refuse


def resolved(exported):
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", exported.options)


@pytest.mark.parametrize("name", recipe_names())
def test_verl_takes_every_recipe(name):
    recipe = load_recipe(name)
    config = resolved(export(recipe.algorithm, recipe.method, recipe.trainer, gpus=8))
    settings = read_settings(config)
    refuse(config, settings)
    prepare(config, settings)
    assert settings.method.name == recipe.method["name"]
    assert config.actor_rollout_ref.rollout.n == recipe.trainer.get("num_generations", 8)
    assert config.actor_rollout_ref.actor.optim.lr == pytest.approx(recipe.trainer["learning_rate"])


@pytest.mark.parametrize("name", ALGORITHMS)
def test_verl_takes_every_algorithm(name):
    config = resolved(export(name, {"name": "none"}, {}))
    refuse(config, read_settings(config))


def test_the_same_run_in_both():
    """64 completions per optimizer step, 128 per batch of rollouts, on 4 processes, in groups of 8."""
    trainer = {
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 4,
        "steps_per_generation": 8,
        "num_generations": 8,
        "num_iterations": 2,
        "loss_type": "dr_grpo",
        "scale_rewards": "none",
        "max_completion_length": 1000,
        "epsilon_high": 0.28,
        "delta": 3.0,
        "beta": 0.04,
        "lr_scheduler_type": "cosine",
        "mask_truncated_completions": True,
    }
    exported = export("grpo", {"name": "siren"}, trainer, gpus=4)
    assert exported.left_out == ["mask_truncated_completions=True"]
    config = resolved(exported)
    actor = config.actor_rollout_ref.actor
    assert (config.data.train_batch_size, actor.ppo_mini_batch_size, actor.ppo_epochs) == (16, 8, 2)
    assert actor.ppo_micro_batch_size_per_gpu == 4
    assert (actor.loss_agg_mode, actor.loss_scale_factor) == ("seq-mean-token-sum-norm", 1000)
    assert not config.algorithm.norm_adv_by_std_in_grpo
    assert (actor.clip_ratio_low, actor.clip_ratio_high, actor.clip_ratio_c) == (0.2, 0.28, 3.0)
    assert (actor.use_kl_loss, actor.kl_loss_coef) == (True, 0.04)
    assert actor.optim.lr_scheduler_type == "cosine"


def test_without_a_delta_there_is_no_dual_clip():
    config = resolved(export("grpo", {"name": "none"}, {}))
    assert config.actor_rollout_ref.actor.clip_ratio_c == 1e6


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        ({"num_generations": 7}, "8 completions are no whole groups of num_generations=7"),
        ({"num_generations": 0}, "num_generations=0 must be at least 1"),
        ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps=0 must be at least 1"),
        ({"steps_per_generation": 0}, "steps_per_generation=0 must be at least 1"),
        ({"per_device_train_batch_size": -8}, "per_device_train_batch_size=-8 must be at least 1"),
        ({"loss_type": "vespo"}, f"loss_type 'vespo'; it has {', '.join(AVERAGES)}"),
        ({"scale_rewards": "batch"}, "scale_rewards='batch'; it has 'group' and 'none'"),
    ],
)
def test_what_verl_does_not_have(trainer, message):
    with pytest.raises(InputError, match=message):
        export("grpo", {"name": "aent"}, trainer)


@pytest.mark.parametrize(
    "value",
    [
        {"name": "stack", "methods": ["clip-higher", {"name": "aent", "low": 1e-5, "drop": 0.5}]},
        {"name": "my.own", "text": "it's {a, b}: c\\d", "none": None, "on": True, "word": "true"},
    ],
)
def test_what_is_written_is_read_back(value):
    from omegaconf import OmegaConf

    config = resolved(type("E", (), {"options": [f"+aent.method={written(value)}"]}))
    assert OmegaConf.to_container(config.aent.method) == value
    assert shlex.split(shlex.quote(written(value))) == [written(value)]
