"""`aent calibrate`: a table, a block that loads and trains, and mistakes that are named."""

import shlex

import pytest
import yaml

from aent.cli.main import main
from aent.methods.load import load_method

TASK = """
from dataclasses import dataclass
from aent.tasks import Countdown

@dataclass(frozen=True, kw_only=True)
class Plain(Countdown):
    '''Rewards completions of few characters, which takes entropy.'''

    def score(self, completion, row):
        return -float(len(set(completion)))
"""
FEW = ["--max_completion_length", "8", "--prompts", "24", "--samples", "16", "--seed", "1",
       "--temperature", "0.02"]  # fmt: skip
"""At temperature 1 a policy that learnt little is uniform, and no step lowers its entropy."""


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "learnt"
    small = [
        "--hidden-size",
        "32",
        "--layers",
        "1",
        "--heads",
        "2",
        "--vocab-size",
        "64",
        "--batch-size",
        "32",
    ]
    assert main(["warmstart", "--output", str(folder), "--demonstrations", "500", *small]) == 0
    return folder


@pytest.fixture
def plain(workplace, monkeypatch):
    monkeypatch.syspath_prepend(str(workplace))
    (workplace / "calibrated_task.py").write_text(TASK)
    return "calibrated_task.Plain"


def calibrate(*argv):
    return main(["calibrate", *map(str, argv)])


def test_the_block_is_the_same_in_yaml_in_the_file_and_on_the_command_line(capsys, workplace, learnt, plain):
    argv = ["--model", learnt, "--task", plain, *FEW, "--output", "block.yaml"]
    assert calibrate(*argv) == 0
    shown = capsys.readouterr().out
    for part in (
        "drop-33",
        "nucleus-95",
        "left out",
        "hold",
        "Predicted with this block",
        "--method aent-auto",
    ):
        assert part in shown
    text = (workplace / "block.yaml").read_text()
    block = yaml.safe_load(text)["method"]
    assert text.split("---\n")[1].removesuffix("...\n") in shown
    method = load_method(block)
    assert method.controller is not None
    assert method.controller.coef > 0
    commands = [shlex.split(line) for line in shown.splitlines() if line.startswith("aent train")]
    assert [yaml.safe_load(words[-1]) for words in commands] == [block, "aent-auto"]
    for words in commands:
        short = ["--max_steps", "1", "--per_device_train_batch_size", "16", "--evaluation", "null"]
        assert main([*words[1:], *short, "--report_to", "none"]) == 0


def test_a_seed_repeats_it_and_another_subset_makes_another_block(capsys, workplace, learnt, plain):
    def block(*argv):
        assert calibrate("--model", learnt, "--task", plain, *FEW, *argv) == 0
        return capsys.readouterr().out.partition("method:")[2]

    first = block()
    assert block() == first
    assert block("--seed", "2") != first
    assert "name: top-k\n    k: 20\n" in block("--subset", "top-20")
    assert block("--temperature", "0.06") != first


def test_equal_rewards_are_said_to_tell_nothing(capsys, workplace, policy):
    """The policy solves nothing: entropies are measured, but there is no block."""
    assert (
        calibrate("--model", policy, "--task", "countdown", "--prompts", "4", "--max_completion_length", "8")
        == 1
    )
    printed = capsys.readouterr()
    assert "drop-33" in printed.out
    assert "all rewards are equal" in printed.err
    assert "method:" not in printed.out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["countdwn"], "unknown recipe 'countdwn'"),
        (["--model", "./none", "--task", "countdown"], "model folder './none' does not exist"),
        (["--model", "./none"], "no task: give --task NAME"),
        (["--task", "cuntdown"], "unknown task 'cuntdown'"),
        (["--task", "math.pi"], "'math.pi' is 3.14"),
        (["--subset", "top-2"], "unknown subset 'top-2'"),
        (["--prompts", "1"], "--prompts 1 must be a whole number of at least 2"),
        (["--samples", "many"], "--samples many must be a whole number"),
        (["--prompts"], "--prompts needs a value"),
        (["--temprature", "1"], "unknown flag '--temprature'"),
        (["--temperature", "0"], "temperature"),
        (["--algorithm", "rloo"], "calibrate knows GRPO's advantages"),
        (["--loss_type", "dr_grpo"], "Use --method aent-auto"),
        (["--output", "no/folder.yaml"], "must be a new file in a folder that exists"),
    ],
    ids=lambda value: " ".join(value)[:60],
)
def test_mistakes_are_one_message(argv, said, capsys, workplace):
    assert calibrate(*argv) == 1
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.startswith("error: ")
    assert list(workplace.iterdir()) == []


def test_prompts_that_are_too_long_or_too_many(capsys, policy, plain):
    argv = ["--model", policy, "--task", plain]
    assert calibrate(*argv, "--max_completion_length", "100000") == 1
    assert "more than the model's context" in capsys.readouterr().err
    assert calibrate(*argv, "--prompts", "10000000") == 1
    assert "lower --prompts" in capsys.readouterr().err


def test_ctrl_c_ends_it(capsys, learnt, plain, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("aent.calibration.rollouts.generate", interrupt)
    assert calibrate("--model", learnt, "--task", plain, *FEW) == 130
    assert "interrupted" in capsys.readouterr().err


def test_help(capsys):
    assert calibrate("--help") == 0
    assert "--subset NAME" in capsys.readouterr().out
