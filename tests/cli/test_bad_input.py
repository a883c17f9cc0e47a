"""Each mistake: one clear message, exit code not 0, no stack trace, nothing written."""

import pytest

from aent.cli.main import main

MODEL = "--model_name_or_path"


def fails(capsys, *argv):
    """Run a command that must fail; return its message."""
    code = main([str(a) for a in argv])
    captured = capsys.readouterr()
    assert code not in (0, None)
    assert "Traceback" not in captured.err + captured.out
    assert captured.err.startswith("error: ")
    return captured.err


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["trian"], ["unknown command 'trian'", "'train'", "calibrate, compare, "]),
        (["train", "nope"], ["unknown recipe 'nope'", "countdown", "gsm8k"]),
        (["train", "--metod", "aent"], ["unknown flag '--metod'", "nearest are --method, "]),
        (
            ["train", "--method", "aant"],
            ["unknown method 'aant'", "Did you mean 'aent'", "entropy-bonus,", "none,"],
        ),
        (["train", "--method.hihg", "1"], ["'hihg'", "Did you mean 'high'", "coef_max"]),
        (["train", "--method.low", "0.9"], ["low=0.9 above high="]),
        (["train", "--method.drop", "1.0"], ["drop=1.0", "at least 0 and below 1"]),
        (["train", "--task", "cuntdown"], ["unknown task 'cuntdown'", "countdown, gsm8k"]),
        (["train", "--task.numbrs", "3"], ["'numbrs'", "Did you mean 'numbers'"]),
        (["train", "--task.numbers", "many"], ["numbers='many' is a str; it must be int"]),
        (["train", "--algorithm", "gppo"], ["unknown algorithm 'gppo'", "grpo, gspo, ppo"]),
        (["train", "--loss_type", "grop"], ["unknown loss_type 'grop'", "Did you mean 'grpo'", "dapo,"]),
        (
            ["train", "--algorithm", "dr-grpo", "--loss_type", "dapo"],
            ["loss_type=dapo", "algorithm 'dr-grpo'"],
        ),
        (["train", "--algorithm", "a2c", "--num_iterations", "2"], ["num_iterations=2", "'a2c' sets"]),
        (["train", "--algorithm", "ppo", "--critic", "both"], ["unknown critic 'both'", "own, shared"]),
        (["train", "--algorithm", "ppo", "--loss_type", "cispo"], ["loss_type='cispo'", "PPO"]),
        (["train", "--lam", "0.9"], ["unknown flag '--lam'"]),
        (["train", "--learning_rate", "fast"], ["learning_rate", "'fast'"]),
        (["train", "--max_steps"], ["max_steps", "expected one argument"]),
        (["train", "--num_generations", "7"], ["TRL refuses", "divisible by num_generations (7)"]),
        (["train", "countdown", "words"], ["'words' belongs to no flag"]),
        (["train", MODEL, "./none"], ["model folder './none' does not exist"]),
        (["train", "--aent_method", "none"], ["--method NAME"]),
        (["train", "--policy.vocab_size", "10"], ["vocab_size=10", "between 64 and 32768"]),
        (["train", "--policy.arch", "gpt"], ["unknown architecture 'gpt'", "llama, qwen3"]),
        (["train", "--evaluation.samples", "0"], ["samples must be at least 1, got 0"]),
        (["train", "--evaluation.k", "[a]"], ["k=['a'] is a list; it must be tuple[int, ...]"]),
        (["train", "--policy.epochs", "0"], ["epochs=0 must be above 0"]),
        (["train", MODEL, "no-such-model"], ["'no-such-model'", "as a folder here or on the hub"]),
        (["train", "--report_to", "wandb"], ["report_to=['wandb']", "wandb"]),
        (["train", "--use_vllm"], ["vllm is not installed"]),
        (["train", "--use_liger_kernel"], ["liger_kernel is not installed"]),
        (["train", "--report_to", "nosuchtracker"], ["report_to=['nosuchtracker']"]),
        (["train", "--max_steps", "0"], ["max_steps=0 must be at least 1"]),
        (["train", "--max_steps", "-5", "--num_train_epochs", "0"], ["max_steps=-5 must be at least 1"]),
        (["train", "--max_steps", "-1", "--num_train_epochs", "0"], ["num_train_epochs=0", "trains nothing"]),
        (["train", "--num_iterations", "0"], ["num_iterations=0 must be at least 1"]),
        (["train", "--learning_rate", "nan"], ["learning_rate=nan must be 0 or above"]),
        (["train", "--learning_rate=-1e-4"], ["learning_rate=-0.0001 must be 0 or above"]),
        (["train", "--temperature", "0"], ["temperature=0 must be above 0"]),
        (["train", "--temperature=-1"], ["temperature=-1 must be above 0"]),
        (["train", "--per_device_train_batch_size", "0"], ["per_device_train_batch_size=0 must be at least"]),
        (["train", "--gradient_accumulation_steps", "0"], ["gradient_accumulation_steps=0 must be at least"]),
        (["train", "--save_steps", "0"], ["save_steps=0 must be above 0"]),
        (["train", "--method", "no"], ["unknown method 'no'"]),
        (["train", "--method", "3"], ["3 must be a name, a mapping"]),
        (["train", "--method", "false"], ["recipe section 'method' is None"]),
        (["train", "--method", "{low: 1, low: 2}"], ["'low' is given twice"]),
        (["train", "--task", "{name: "], ["not readable as YAML"]),
        (["train", "--evaluation.k", "[99]"], ["1..16", "[99]"]),
        (["train", "--entropy_coef", "0.1"], ["entropy_coef=0.1", "beside the method 'aent'"]),
        (["train", "--use_adaptive_entropy"], ["use_adaptive_entropy=True"]),
        (["train", "--resume"], ["--resume needs a value"]),
        (["train", "--resume", "here", "--max_steps", "3"], ["no other flag"]),
        (
            ["train", "--evaluation.also", "{greedy: {temprature: 0}}"],
            ["evaluation.also.greedy", "Did you mean 'temperature'"],
        ),
        (["train", "--resume", "here"], ["here is not a run folder"]),
        (["eval", "--model", "x"], ["no task: give --task NAME"]),
        (["eval", "--model", "x", "--task", "{numbers: 3}"], ["{'numbers': 3} has no name; add one"]),
        (["eval", "--model", "./x", "--task", "lists"], ["'./x' does not exist"]),
        (["warmstart", "--output", "w", "--vocab-size", "12"], ["vocab_size=12"]),
        (["warmstart", "--output", "w", "--task", "math"], ["has no demonstrations"]),
        (["methods", "aent2"], ["unknown method 'aent2'", "Did you mean 'aent'"]),
    ],
    ids=lambda value: " ".join(value)[:60],
)
def test_a_mistake_is_named(argv, parts, capsys, workplace):
    message = fails(capsys, *argv)
    for part in parts:
        assert part in message
    assert list(workplace.iterdir()) == []


def test_model_folders_without_config_or_weights(capsys, workplace):
    (workplace / "empty").mkdir()
    assert "'empty' is not a model folder: it has no config.json" in fails(capsys, "train", MODEL, "empty")
    (workplace / "empty/config.json").write_text("{}")
    assert "it has no weights (*.safetensors)" in fails(capsys, "train", MODEL, "empty")


GOOD = '{"question": "1+1?", "answer": "#### 2"}\n'


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["train.jsonl has no rows"]),
        (GOOD + "{oops\n", ["train.jsonl, line 2", "not JSON"]),
        ('{"question": "1+1?", "solution": "2"}\n', ["line 1", "'answer'", "solution"]),
        (GOOD + '{"question": "2+2?", "answer": null}\n', ["line 2", "answer"]),
        (GOOD + '{"question": "2+2? \\ud800", "answer": "#### 4"}\n', ["line 2", "half of a surrogate pair"]),
    ],
    ids=["empty", "malformed", "missing column", "null", "surrogate"],
)
def test_data_sets_name_the_row(text, parts, capsys, workplace, policy):
    (workplace / "train.jsonl").write_text(text)
    (workplace / "test.jsonl").write_text('{"question": "3+3?", "answer": "#### 6"}\n')
    files = ["--task.path", ".", "--task.train", "train.jsonl", "--task.test", "test.jsonl"]
    message = fails(capsys, "train", "gsm8k", MODEL, policy, *files)
    for part in parts:
        assert part in message
    assert not (workplace / "runs").exists()


def test_an_unwritable_place_for_an_evaluation_is_noticed_first(capsys, workplace, policy):
    (workplace / "file").write_text("")
    message = fails(capsys, "eval", "--model", policy, "--task", "countdown", "--output", "file/x")
    assert "cannot be written" in message
    assert "--output" in message


def test_a_run_folder_given_as_a_model(capsys, workplace):
    (workplace / "run/policy").mkdir(parents=True)
    message = fails(capsys, "eval", "--model", "run", "--task", "countdown")
    assert "its policy is run/policy" in message


def test_a_file_where_a_folder_is_due(capsys, workplace):
    message = fails(capsys, "train", "gsm8k", MODEL, ".", "--task.path", "train.jsonl")
    assert "give files as train and test" in message


def test_folders_that_hold_something_are_left_alone(capsys, workplace, policy):
    (workplace / "old").mkdir()
    (workplace / "old/precious").write_text("x")
    assert "never overwrites" in fails(capsys, "train", MODEL, policy, "--output_dir", "old")
    assert "old is not empty" in fails(capsys, "warmstart", "--output", "old")
    assert "already holds something" in fails(
        capsys, "eval", "--model", policy, "--task", "countdown", "--output", "old"
    )
    assert [f.name for f in (workplace / "old").iterdir()] == ["precious"]


def test_an_unwritable_run_folder(capsys, workplace, policy):
    (workplace / "file").write_text("")
    message = fails(capsys, "train", MODEL, policy, "--output_dir", "file/run")
    assert "cannot be written" in message
    assert "--output_dir" in message


@pytest.mark.parametrize("argv", [["eval", "--modle", "x"], ["warmstart"], ["eval"]], ids=" ".join)
def test_unknown_or_missing_options_of_the_other_commands(argv, capsys, workplace):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err + printed.out


REWARDS = """
from dataclasses import dataclass
from aent.tasks import Countdown

@dataclass(frozen=True, kw_only=True)
class {name}(Countdown):
    def reward(self, completions, **columns):
        return {value}
"""


@pytest.mark.parametrize(
    ("value", "part"),
    [("[1.0]", "1 reward"), ("[float('nan')] * len(completions)", "nan")],
    ids=["wrong length", "nan"],
)
def test_broken_rewards_stop_the_run_with_a_message(value, part, capsys, workplace, policy):
    name = "Short" if "1.0" in value else "Nan"
    (workplace / f"tasks_{name}.py").write_text(REWARDS.format(name=name, value=value))
    argv = ["train", MODEL, policy, "--task", f"tasks_{name}.{name}", "--evaluation", "null"]
    message = fails(capsys, *argv, "--per_device_train_batch_size", "16", "--max_steps", "1")
    assert part in message.lower()
    assert "reward" in message
