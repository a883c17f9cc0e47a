"""A run from its parts: policy, evaluations, checkpoints, and a full disk."""

import json
import os
import shutil
import weakref
from pathlib import Path

import pytest
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from aent.cli.main import main
from aent.evaluation import load_results
from aent.training import run as training
from aent.training.callbacks import MetricsFile
from aent.training.prepare import prepare, read_request
from aent.training.run import evaluate_folder

SHORT = ["--per_device_train_batch_size", "32", "--num_generations", "8", "--logging_steps", "1",
         "--evaluation.problems", "8", "--evaluation.samples", "4"]  # fmt: skip


def rows(run):
    return [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]


def test_a_reasoning_gym_policy_from_scratch_has_room_for_the_answer_alone(workplace, policy, monkeypatch):
    """A policy that is given may think first, so it has the usual room."""
    monkeypatch.setenv("AENT_CACHE", str(workplace / "cache"))
    gym = ["countdown", "--method", "none", "--task", "reasoning-gym", "--task.source", "lcm",
           "--task.train_size", "50", "--task.test_size", "20", "--output_dir", "run"]  # fmt: skip
    shrunk = ["--policy.demonstrations", "256", "--policy.hidden_size", "32", "--policy.layers", "1"]
    given = prepare(read_request([*gym, "--model_name_or_path", str(policy)]))
    assert given.args.max_completion_length == 256
    assert main(["train", *gym, *shrunk, *SHORT, "--max_steps", "1"]) == 0
    results = json.loads(Path("run/after/results.json").read_text())
    assert results["max_tokens"] == given.task.max_length + 1
    assert rows("run")[0]["completions/max_length"] <= given.task.max_length + 1


def test_further_evaluations_lie_below_the_first(workplace, policy):
    argv = ["train", "--model_name_or_path", str(policy), *SHORT, "--max_steps", "1", "--output_dir", "run"]
    assert main([*argv, "--evaluation.also", "{greedy: {temperature: 0, samples: 1}}"]) == 0
    for when in ("before", "after"):
        first, greedy = (load_results(Path("run", when, name)) for name in (".", "greedy"))
        assert (first.config.temperature, first.config.samples, len(first.records)) == (1, 4, 32)
        assert (greedy.config.temperature, greedy.config.samples, len(greedy.records)) == (0, 1, 8)
        assert [r.prompt for r in greedy.records] == [r.prompt for r in first.records[::4]]


@pytest.mark.parametrize(("flags", "dtype"), [([], "float32"), (["--dtype", "bfloat16"], "bfloat16")])
def test_the_policy_is_evaluated_in_the_precision_that_it_is_trained_in(
    flags, dtype, workplace, policy, monkeypatch
):
    """Hub models are saved in bfloat16; TRL trains them in float32."""
    AutoModelForCausalLM.from_pretrained(policy).bfloat16().save_pretrained("half")
    AutoTokenizer.from_pretrained(policy).save_pretrained("half")
    seen = []

    def spy(*args, **options):
        seen.append(options["dtype"])
        return evaluate_folder(*args, **options)

    monkeypatch.setattr(training, "evaluate_folder", spy)
    argv = ["train", "--model_name_or_path", "half", *SHORT, "--max_steps", "1", "--output_dir", "run"]
    assert main([*argv, *flags]) == 0
    saved = AutoModelForCausalLM.from_pretrained("run/policy").dtype
    assert [*seen, str(saved)] == [dtype, dtype, f"torch.{dtype}"]


def test_what_training_held_is_free_when_the_policy_is_evaluated(workplace, policy, monkeypatch):
    trainers, alive = [], []
    save = training.Run._save

    def saved(run, trainer, folder):
        trainers.append(weakref.ref(trainer))
        save(run, trainer, folder)

    def evaluated(*args, **options):
        alive.append([trainer() is not None for trainer in trainers])
        return evaluate_folder(*args, **options)

    monkeypatch.setattr(training.Run, "_save", saved)
    monkeypatch.setattr(training, "evaluate_folder", evaluated)
    argv = ["train", "--model_name_or_path", str(policy), *SHORT, "--max_steps", "1", "--output_dir", "run"]
    assert main(argv) == 0
    assert alive == [[], [False]]


@pytest.mark.parametrize("peft", [[], ["--use_peft"]], ids=["whole", "adapter"])
def test_killed_after_the_last_checkpoint_it_takes_no_step_more(peft, workplace, policy):
    argv = ["train", "--model_name_or_path", str(policy), *SHORT[:6], *peft, "--evaluation", "null",
            "--learning_rate", "0.01", "--max_steps", "2", "--save_steps", "1",
            "--output_dir", "run"]  # fmt: skip
    assert main(argv) == 0
    (weights,) = Path("run/policy").glob("*model.safetensors")
    trained, logged = weights.read_bytes(), rows("run")
    shutil.rmtree("run/policy")
    Path("run/.trained").unlink()
    assert main(["train", "--resume", "run"]) == 0
    assert weights.read_bytes() == trained
    assert [row for row in rows("run") if "loss" in row] == [row for row in logged if "loss" in row]


def test_a_full_disk_ends_the_run_with_a_message(workplace, policy, capsys, monkeypatch):
    """/dev/full answers every write as a full disk does."""
    monkeypatch.setattr(MetricsFile, "__init__", lambda self, _: setattr(self, "path", Path("/dev/full")))
    argv = ["train", "--model_name_or_path", str(policy), *SHORT, "--max_steps", "2", "--output_dir", "run"]
    assert main(argv) == 1
    message = capsys.readouterr().err
    assert "No space left on device" in message
    assert "aent train --resume run" in message
    assert json.loads(Path("run/before/results.json").read_text())["metrics"]
    monkeypatch.undo()
    os.chdir(workplace)
    assert main(["train", "--resume", "run"]) == 0


@pytest.mark.parametrize(
    "raised",
    [
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:664] . PytorchStreamWriter failed writing file"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 640 vs 598"),
        RuntimeError("basic_ios::clear: iostream error"),
    ],
    ids=["safetensors", "torch.save", "torch.save, at its end", "torch.save, when it closes the file"],
)
def test_a_disk_full_of_checkpoints_is_a_message_too(raised, workplace, policy, capsys, monkeypatch):
    """What the two libraries raise when a checkpoint does not fit."""

    def full(*_, **__):
        raise raised

    monkeypatch.setattr("transformers.Trainer._save_checkpoint", full)
    argv = ["train", "--model_name_or_path", str(policy), *SHORT[:6], "--evaluation", "null"]
    assert main([*argv, "--max_steps", "2", "--save_steps", "1", "--output_dir", "run"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: the disk is full")
    assert "aent train --resume run" in message
    monkeypatch.undo()
    os.chdir(workplace)
    assert main(["train", "--resume=run"]) == 0
    assert [row["step"] for row in rows("run") if "loss" in row] == [1, 2]


def test_flags_of_the_model_reach_it(workplace, policy):
    argv = ["train", "--model_name_or_path", str(policy), *SHORT[:6], "--evaluation", "null"]
    bf16 = ["--dtype", "bfloat16", "--attn_implementation", "eager"]
    assert main([*argv, *bf16, "--max_steps", "1", "--output_dir", "run"]) == 0
    assert json.loads(Path("run/policy/config.json").read_text())["dtype"] == "bfloat16"
    again = ["train", "run/config.yaml", "--max_steps", "1"]  # the kept recipe names no folder
    assert main(again) == 0
    assert Path("runs/config-aent-001/policy").exists()


def test_two_processes_make_the_policy_and_train(workplace, launch):
    """As `accelerate launch` starts them on two devices; the policy is not in the cache yet."""
    shrunk = ["--policy.demonstrations", "64", "--policy.hidden_size", "32", "--policy.layers", "1"]
    done = launch(
        "-m", "aent.cli.main", "train", *shrunk, *SHORT, "--max_steps", "2", "--use_cpu",
        ACCELERATE_USE_CPU="true", AENT_CACHE=str(workplace / "cache"),
    )  # fmt: skip
    assert [p.name for p in Path("runs").iterdir()] == ["countdown-aent-001"]
    logged = [row for row in rows("runs/countdown-aent-001") if "loss" in row]
    assert [row["step"] for row in logged] == [1, 2]
    # 32 completions per process, each with a prompt of at most 9 tokens and an answer of at most 8
    assert logged[0]["num_tokens"] > 32 * (9 + 8)
    assert done.stdout.count("run folder:") == 1
    assert len(list((workplace / "cache").iterdir())) == 1
