"""A recipe as a command of verl; what verl reads in it is in tests/verl/test_export.py."""

import re

import pytest

from aent.cli.main import main
from aent.runs.recipe import recipe_names


@pytest.mark.parametrize("recipe", recipe_names())
def test_every_recipe_has_a_command(recipe, capsys):
    assert main(["export", "verl", recipe, "--gpus", "8"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("python -m verl.trainer.main_ppo \\\n    trainer.v1.trainer_mode=aent_sync")
    assert re.search(r"\+aent\.method=\{name: ", printed)
    assert "# not carried over: task" in printed


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


def test_the_defaults_are_trls(tmp_path):
    from trl import GRPOConfig

    from aent.verl.export import TRL_DEFAULTS

    args = GRPOConfig(output_dir=str(tmp_path), bf16=False, use_cpu=True)
    assert {name: getattr(args, name) for name in TRL_DEFAULTS} == dict(TRL_DEFAULTS)
