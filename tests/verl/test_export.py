"""The options of an exported recipe are verl's: its own configuration takes them, and aent accepts it."""

import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import validate_config

from aent import InputError
from aent.runs.recipe import load_recipe, recipe_names
from aent.verl.config import prepare, read_settings
from aent.verl.export import ALGORITHMS, AVERAGES, Export, export, written
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


def accepted(options, folder):
    """The configuration after aent's own checks and verl's, which main_ppo makes before it starts."""
    config = resolved(Export(options))
    settings = read_settings(config)
    refuse(config, settings)
    prepare(config, settings)
    config.actor_rollout_ref.model.path = str(folder)
    validate_config(config, need_reference_policy(config), need_critic(config))
    return config


@pytest.mark.parametrize("name", ALGORITHMS)
def test_verl_takes_every_algorithm(name, folder):
    accepted(export(name, {"name": "none"}, {"model_name_or_path": str(folder)}).options, folder)


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_a_critic_is_trained_like_the_policy(name, folder):
    """Without its model and its micro-batches verl does not start; its own weight decay is 0.01."""
    trainer = {
        "model_name_or_path": str(folder),
        "per_device_train_batch_size": 16,
        "learning_rate": 1e-6,
        "critic_learning_rate": 1e-5,
        "weight_decay": 0.1,
        "max_grad_norm": 0.5,
        "warmup_steps": 3,
    }
    critic = accepted(export(name, {"name": "none"}, trainer).options, folder).critic
    assert (critic.model.path, critic.strategy) == (str(folder), "fsdp2")
    assert (critic.ppo_micro_batch_size_per_gpu, critic.optim.lr_warmup_steps) == (16, 3)
    assert (critic.optim.lr, critic.optim.weight_decay, critic.optim.clip_grad) == (1e-5, 0.1, 0.5)


def test_the_example_is_a_command_that_verl_takes(folder):
    script = (Path(__file__).parents[2] / "examples/verl_gsm8k.sh").read_text()
    command = script.partition("verl.trainer.main_ppo")[2].replace("\\\n", " ").replace('"$@"', "")
    accepted(shlex.split(command), folder)


LONG = {"max_steps": 1000, "save_steps": 100, "warmup_steps": 10}
FOUR = {"gradient_accumulation_steps": 2, "steps_per_generation": 4, "num_iterations": 2}
"""Four optimizer steps on each batch of rollouts."""


@pytest.mark.parametrize(
    ("trainer", "length"),
    [
        (LONG, {"total_training_steps": 1000, "total_epochs": 1000, "save_freq": 100}),
        ({**LONG, **FOUR}, {"total_training_steps": 250, "total_epochs": 250, "save_freq": 25}),
        ({**LONG, "save_steps": 0.25}, {"save_freq": 250}),
        ({"max_steps": -1}, {"total_training_steps": None, "total_epochs": 3}),
        ({"num_train_epochs": 1.5}, {"total_training_steps": None, "total_epochs": 2}),
    ],
)
def test_lengths_are_counted_in_batches_of_rollouts(trainer, length):
    config = resolved(export("grpo", {"name": "none"}, trainer))
    assert {name: config.trainer[name] for name in length} == length


def test_the_learning_rate_warms_up_as_long_as_in_trl():
    def warmup(**trainer):
        optim = resolved(export("grpo", {"name": "none"}, trainer)).actor_rollout_ref.actor.optim
        return optim.lr_warmup_steps, optim.lr_warmup_steps_ratio

    assert warmup(**LONG) == (10, 0.0)
    assert warmup(**LONG, **FOUR) == (3, 0.0)
    assert warmup(warmup_steps=0.1) == (-1, 0.1)


def test_an_adapter_is_carried_over():
    """TRL's defaults are rank 16, alpha 32 and a dropout of .05."""
    constant = {"use_peft": True, "lr_scheduler_type": "constant"}
    made = export("grpo", {"name": "none"}, constant)
    model = resolved(made).actor_rollout_ref.model
    assert (model.lora_rank, model.lora_alpha, model.target_modules) == (16, 32, "all-linear")
    assert [line.partition(":")[0] for line in made.left_out] == ["lora_dropout=0.05", "lora_target_modules"]
    given = {"lora_r": 8, "lora_dropout": 0.0, "lora_target_modules": ["q_proj", "v_proj"]}
    made = export("grpo", {"name": "none"}, constant | given)
    model = resolved(made).actor_rollout_ref.model
    assert (model.lora_rank, list(model.target_modules), made.left_out) == (8, ["q_proj", "v_proj"], [])
    unused = export("grpo", {"name": "none"}, {"use_peft": False, "lora_r": 8})
    assert resolved(unused).actor_rollout_ref.model.lora_rank == 0


def test_a_norm_of_0_does_not_clip():
    """verl would scale every gradient to 0."""
    config = resolved(export("grpo", {"name": "none"}, {"max_grad_norm": 0.0}))
    assert config.actor_rollout_ref.actor.optim.clip_grad == 1e6


def test_a_coefficient_that_moves_less_often_than_in_trl_is_said():
    def said(method, **trainer):
        return [line for line in export("grpo", {"name": method}, trainer).left_out if "aent_update" in line]

    assert said("aent", **FOUR) == [
        "aent_update=step: verl moves the coefficient once per batch of rollouts, here every 4 steps"
    ]
    assert said("aent") == said("none", **FOUR) == said("aent", aent_update="rollout", **FOUR) == []


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
    assert exported.left_out[0] == "mask_truncated_completions=True"
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
        ({"save_steps": 0.5}, "save_steps=0.5 is a share of max_steps; set max_steps, or whole steps"),
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
