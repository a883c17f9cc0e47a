"""A recipe as a command of verl; what verl reads in it is in tests/verl/test_export.py."""

import re

import pytest

from aent.cli.main import main
from aent.runs.recipe import recipe_names
from aent.verl.export import export


@pytest.mark.parametrize("recipe", recipe_names())
def test_every_recipe_has_a_command(recipe, capsys):
    assert main(["export", "verl", recipe, "--gpus", "8"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("python -m verl.trainer.main_ppo \\\n    trainer.v1.trainer_mode=aent_sync")
    assert re.search(r"\+aent\.method=\{name: ", printed)
    assert "# not carried over: task" in printed


def test_help_may_follow_the_recipe(capsys):
    """It printed the hundred options of TRL."""
    assert main(["export", "verl", "gsm8k", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: aent export verl RECIPE")


def test_flags_win_over_the_recipe(capsys):
    flags = ["--method", "siren", "--learning_rate", "3e-6", "--data", "/d"]
    assert main(["export", "verl", "gsm8k", *flags]) == 0
    printed = capsys.readouterr().out
    assert "'+aent.method={name: siren}'" in printed
    assert "actor_rollout_ref.actor.optim.lr=3e-06" in printed
    assert "data.train_files=/d/train.parquet" in printed


def test_what_verl_lacks_is_said(capsys):
    assert main(["export", "verl", "countdown"]) == 0
    printed = capsys.readouterr().out
    assert "# not carried over: lr_scheduler_type=linear\n" in printed
    assert "lr_scheduler_type=linear \\" not in printed
    assert "# not carried over: policy: set actor_rollout_ref.model.path" in printed


@pytest.mark.parametrize("words", [[], ["verl"], ["verl", "--gpus", "2"]])
def test_without_a_recipe_it_explains_itself(words, capsys):
    assert main(["export", *words]) == 2
    assert "usage: aent export verl RECIPE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["skyrl", "gsm8k"], "unknown target 'skyrl'"),
        (["verl", "gsm8k", "--gpus", "none"], "--gpus none must be a whole number"),
        (["verl", "gsm8k", "--num_generations", "7"], "64 completions are no whole groups"),
        (["verl", "gsm8k", "--loss_type", "sapo"], "verl does not have loss_type 'sapo'"),
        (["verl", "gsm8k", "--scale_rewards", "batch"], "verl does not have scale_rewards='batch'"),
    ],
)
def test_what_verl_does_not_have_is_one_message(words, message, capsys):
    assert main(["export", *words]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("trainer", ["GRPO", "RLOO", "PPO"])
def test_the_defaults_are_trls(trainer, tmp_path):
    from aent import trl
    from aent.verl.export import TRL_DEFAULTS

    defaults = TRL_DEFAULTS[trainer]
    args = getattr(trl, f"AEnt{trainer}Config")(output_dir=str(tmp_path), bf16=False, use_cpu=True)
    assert {name: getattr(args, name) for name in defaults} == dict(defaults)


def exported(algorithm, trainer=None):
    return export(algorithm, {"name": "none"}, trainer or {})


def test_options_of_the_algorithm_are_carried_over_or_said_to_be_left_out():
    assert "mask_truncated_completions=True" in exported("dapo").left_out
    a2c = exported("a2c")
    assert a2c.left_out == ["whiten=False", "lr_scheduler_type=linear"]
    assert {"critic.cliprange_value=1000000.0", "algorithm.lam=1.0"} <= set(a2c.options)


def test_a_critic_gets_trls_settings():
    options = exported("ppo", {"learning_rate": 2e-6, "lr_scheduler_type": "constant"}).options
    assert {"algorithm.lam=0.95", "critic.cliprange_value=0.2", "critic.optim.lr=2e-06"} <= set(options)
    assert "critic.optim.lr=1e-05" in exported("ppo", {"critic_learning_rate": 1e-5}).options


@pytest.mark.parametrize("algorithm", ["rloo", "reinforce++"])
def test_rloo_has_its_own_defaults_and_its_kl_in_the_reward(algorithm):
    made = exported(algorithm)
    assert {
        "actor_rollout_ref.rollout.n=2",
        "algorithm.use_kl_in_reward=True",
        "algorithm.kl_ctrl.kl_coef=0.05",
        "actor_rollout_ref.actor.use_kl_loss=False",
        "actor_rollout_ref.actor.loss_agg_mode=seq-mean-token-sum",
    } <= set(made.options)
    assert any("whole completions" in line for line in made.left_out)
    assert "algorithm.use_kl_in_reward=False" in exported(algorithm, {"beta": 0.0}).options
