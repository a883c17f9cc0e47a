"""``aent warmstart``: makes a policy, says where it is, and names mistakes."""

import json

import pytest

from aent.cli.main import main

SMALL = ["--hidden-size", "32", "--layers", "1", "--vocab-size", "64", "--demonstrations", "64"]


def test_a_policy_of_the_given_shape_and_task(workplace, capsys):
    argv = ["warmstart", "--output", "policy", "--task", "chain", "--task.steps", "2", "--seed", "5", *SMALL]
    assert main(argv) == 0
    said = capsys.readouterr().out.replace("\n", "")
    command = "aent eval --model policy --task chain --task.steps 2"
    assert f"policy: policy and tokenizer. Evaluate it with: {command}" in said
    assert main([*command.split()[1:], "--problems", "1", "--samples", "1", "--output", "out"]) == 0
    settings = json.loads((workplace / "policy/warmstart.json").read_text())
    assert settings["task"] | {"name": "chain", "steps": 2} == settings["task"]
    assert (settings["hidden_size"], settings["seed"]) == (32, 5)
    assert (workplace / "policy/model.safetensors").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--output", "policy", "--task", "chian"], "unknown task 'chian'. Did you mean 'chain'"),
        (["--output", "policy", "--vocab-size", "3"], "vocab_size=3 must lie between 64 and 32768"),
        (["--output", "policy", "--heads", "0"], "heads=0 must be at least 1"),
        (["--output", "policy", "--hidden-size", "0"], "hidden_size=0 must be at least 1"),
        (["--output", "policy", "--seed", "-1"], "seed=-1 must be at least 0 and below 2**32"),
        (["--output", "full"], "full is not empty"),
        (["--output", "policy", "--task", "math"], "'math' has no demonstrations"),
    ],
)
def test_mistakes_are_one_message(argv, message, workplace, capsys):
    (workplace / "full").mkdir()
    (workplace / "full/mine").write_text("")
    assert main(["warmstart", *argv]) == 1
    assert message in capsys.readouterr().err
    assert not (workplace / "policy").exists()
