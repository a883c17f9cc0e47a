"""The command line on real runs, small ones."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from safetensors import SafetensorError

from aent.cli.main import main
from aent.evaluation import load_results
from aent.training.callbacks import MetricsFile
from aent.training.prepare import prepare, read_request

DATA = Path(os.environ.get("AENT_DATA", Path(__file__).parents[3] / "shared/data"))
SHORT = ["--per_device_train_batch_size", "32", "--num_generations", "8", "--logging_steps", "1",
         "--evaluation.problems", "8", "--evaluation.samples", "4"]  # fmt: skip


def rows(run):
    return [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]


def test_a_recipe_from_nothing_to_the_picture(workplace, capsys, monkeypatch):
    """The default recipe, shrunk: makes its policy, evaluates, trains, evaluates, draws."""
    monkeypatch.setenv("AENT_CACHE", str(workplace / "cache"))
    shrunk = ["--policy.demonstrations", "256", "--policy.hidden_size", "32", "--policy.layers", "1"]
    assert main(["train", *shrunk, *SHORT, "--max_steps", "3"]) == 0
    printed = capsys.readouterr().out
    run = workplace / "runs/countdown-aent-001"
    assert (run / "training.png").read_bytes().startswith(b"\x89PNG")
    assert (run / "policy/model.safetensors").exists()
    results = [json.loads((run / when / "results.json").read_text()) for when in ("before", "after")]
    assert all(0 <= r["metrics"]["pass@4"]["value"] <= 1 for r in results)
    assert len((run / "after/samples.jsonl").read_text().splitlines()) == 8 * 4
    logged = rows(run)
    assert [row["step"] for row in logged if "loss" in row] == [1, 2, 3]
    assert all(row["aent/entropy"] <= row["aent/full_entropy"] for row in logged if "loss" in row)
    for shown in ("made from scratch", "clamped entropy", "full entropy", "coef", "length", "reward",
                  "pass@1", "before", "after", "training.png", "report.html"):  # fmt: skip
        assert shown in printed
    assert json.loads((run / "versions.json").read_text())["trl"]
    page = (run / "report.html").read_text()
    assert "GRPO on countdown: aent" in page
    assert "Where the policy forks" in page

    # the second time: policy from the cache, a folder of its own, and the kept recipe runs again
    assert main(["train", str(run / "config.yaml"), "--max_steps", "1", "--evaluation", "null"]) == 0
    assert "from the cache" in capsys.readouterr().out
    again = workplace / "runs/config-aent-001"
    assert yaml.safe_load((again / "config.yaml").read_text())["trainer"]["max_steps"] == 1
    assert not (again / "before").exists()


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


@pytest.mark.parametrize(
    "argv", [["--algorithm", "rloo"], ["--method", "none"], ["--use_peft"], ["--algorithm", "a2c"]], ids=str
)
def test_variants_train(argv, workplace, policy, capsys):
    options = [*SHORT, "--max_steps", "2", "--output_dir", "run"]
    assert main(["train", "--model_name_or_path", str(policy), *argv, *options]) == 0
    saved = {f.name for f in Path("run/policy").iterdir()}
    assert ("adapter_model.safetensors" if argv == ["--use_peft"] else "model.safetensors") in saved
    assert Path("run/after/results.json").exists()
    capsys.readouterr()
    assert main(["train", "--resume", "run"]) == 0  # already done: shows the table again, trains nothing
    assert "pass@1" in capsys.readouterr().out
    assert len(rows("run")) == 3  # two steps and the summary


def test_ppo_goes_on_after_an_interruption_as_if_nothing_had_happened(workplace, policy, monkeypatch):
    """Stopped in the fourth step, it has the checkpoint of the second, the critic's weights in it."""
    argv = ["train", "--model_name_or_path", str(policy), *SHORT[:6], "--evaluation", "null",
            "--algorithm", "ppo", "--num_generations", "1", "--num_iterations", "2",
            "--max_steps", "6", "--save_steps", "2"]  # fmt: skip
    assert main([*argv, "--output_dir", "whole"]) == 0

    def stop(self, args, state, *_, **__):
        if state.global_step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("aent.training.callbacks.ProgressLines.on_step_begin", stop, raising=False)
        assert main(argv) == 130
    stopped = Path("runs/countdown-ppo-aent-001")
    assert (stopped / "checkpoint-2/critic.safetensors").exists()
    assert main(["train", "--resume", str(stopped)]) == 0
    assert not (stopped / "policy/critic.safetensors").exists()
    assert "ppo with aent" in (stopped / "README.md").read_text()  # the model card
    for key in ("ppo/value_loss", "ppo/explained_variance", "aent/entropy", "reward"):
        assert [row.get(key) for row in rows(stopped)] == [row.get(key) for row in rows("whole")]
    assert len([row for row in rows(stopped) if "loss" in row]) == 6


def test_ctrl_c_keeps_a_checkpoint_and_resume_goes_on_as_if_nothing_happened(workplace, policy, capsys):
    argv = ["train", "--model_name_or_path", str(policy), *SHORT[:6], "--max_steps", "60",
            "--evaluation", "null", "--method.coef", "0.01", "--method.lr", "0.1"]  # fmt: skip
    assert main([*argv, "--output_dir", "whole"]) == 0
    stopped = subprocess.Popen(
        [sys.executable, "-m", "aent.cli.main", *argv, "--output_dir", "stopped"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = Path("stopped/metrics.jsonl")
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.read_text()) and time.monotonic() < deadline:
        time.sleep(0.01)
    stopped.send_signal(signal.SIGINT)
    out, err = stopped.communicate(timeout=120)
    assert stopped.returncode == 130, err
    assert "Traceback" not in err
    assert "aent train --resume stopped" in out
    reached = rows("stopped")[-1]["step"]
    assert 1 <= reached < 60
    assert Path(f"stopped/checkpoint-{reached}/trainer_state.json").exists()
    capsys.readouterr()
    assert main(["train", "--resume", "stopped"]) == 0
    whole, resumed = rows("whole"), rows("stopped")
    assert [row["step"] for row in resumed] == [row["step"] for row in whole]
    for key in ("aent/coef", "aent/entropy", "reward"):
        assert [row.get(key) for row in resumed] == [row.get(key) for row in whole]


def test_further_evaluations_lie_below_the_first(workplace, policy):
    argv = ["train", "--model_name_or_path", str(policy), *SHORT, "--max_steps", "1", "--output_dir", "run"]
    assert main([*argv, "--evaluation.also", "{greedy: {temperature: 0, samples: 1}}"]) == 0
    for when in ("before", "after"):
        first, greedy = (load_results(Path("run", when, name)) for name in (".", "greedy"))
        assert (first.config.temperature, first.config.samples, len(first.records)) == (1, 4, 32)
        assert (greedy.config.temperature, greedy.config.samples, len(greedy.records)) == (0, 1, 8)
        assert [r.prompt for r in greedy.records] == [r.prompt for r in first.records[::4]]


@pytest.mark.parametrize("peft", [[], ["--use_peft"]], ids=["whole", "adapter"])
def test_killed_after_the_last_checkpoint_it_takes_no_step_more(peft, workplace, policy):
    argv = ["train", "--model_name_or_path", str(policy), *SHORT[:6], *peft, "--evaluation", "null",
            "--learning_rate", "0.01", "--max_steps", "2", "--save_steps", "1",
            "--output_dir", "run"]  # fmt: skip
    assert main(argv) == 0
    (weights,) = Path("run/policy").glob("*model.safetensors")
    trained, logged = weights.read_bytes(), rows("run")
    shutil.rmtree("run/policy")
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
    ],
    ids=["safetensors", "torch.save"],
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


def test_gsm8k_end_to_end_on_a_local_model_and_local_files(workplace, capsys):
    if not (DATA / "gsm8k_train.jsonl").exists():
        pytest.skip(f"the GSM8K files are not in {DATA}; set AENT_DATA to their folder")
    random_model(workplace / "model", (DATA / "gsm8k_train.jsonl").read_text() + "\\{}")
    argv = ["train", "gsm8k", "--model_name_or_path", "model", "--task.path", str(DATA),
            "--task.train", "gsm8k_train.jsonl", "--task.test", "gsm8k_test.jsonl",
            "--task.chat", "false"]  # fmt: skip
    small = ["--per_device_train_batch_size", "4", "--num_generations", "4", "--max_completion_length", "16",
             "--gradient_accumulation_steps", "2", "--max_steps", "2", "--logging_steps", "1",
             "--evaluation.problems", "2", "--evaluation.max_tokens", "16"]  # fmt: skip
    assert main([*argv, *small]) == 0
    run = workplace / "runs/gsm8k-aent-001"
    assert len([row for row in rows(run) if "aent/entropy" in row]) == 2
    sample = json.loads((run / "after/samples.jsonl").read_text().splitlines()[0])
    assert "Janet" in sample["prompt"]


def random_model(folder, text):
    """An untrained Llama with a character tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from aent.policies.tokenizer import character_tokenizer

    tokenizer = character_tokenizer(text, 256)
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=256, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=2048, eos_token_id=1, pad_token_id=0,
        bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)


def test_two_processes_make_the_policy_and_train(workplace, monkeypatch):
    """As `accelerate launch` starts them on two devices; the policy is not in the cache yet."""
    shrunk = ["--policy.demonstrations", "64", "--policy.hidden_size", "32", "--policy.layers", "1"]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "aent.cli.main"]
    done = subprocess.run(
        [sys.executable, *launch, "train", *shrunk, *SHORT, "--max_steps", "2", "--use_cpu"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true",
             "AENT_CACHE": str(workplace / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert [p.name for p in Path("runs").iterdir()] == ["countdown-aent-001"]
    logged = [row for row in rows("runs/countdown-aent-001") if "loss" in row]
    assert [row["step"] for row in logged] == [1, 2]
    # 32 completions per process, each with a prompt of at most 9 tokens and an answer of at most 8
    assert logged[0]["num_tokens"] > 32 * (9 + 8)
    assert done.stdout.count("run folder:") == 1
    assert len(list((workplace / "cache").iterdir())) == 1


def test_eval_writes_results_and_every_answer(workplace, policy, capsys):
    argv = ["eval", "--model", str(policy), "--task", "countdown", "--problems", "5", "--samples", "4"]
    assert main(argv) == 0
    assert "pass@4" in capsys.readouterr().out
    folder = workplace / "eval-policy-countdown-001"
    results = json.loads((folder / "results.json").read_text())
    assert {"pass@1", "pass@4", "maj@4", "entropy", "length"} <= set(results["metrics"])
    answers = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    assert len(answers) == 20
    assert main(argv) == 0  # a second time: a folder of its own
    assert (workplace / "eval-policy-countdown-002").exists()


def test_help_names_the_flags_of_the_host(capsys):
    assert main(["train", "--help"]) == 0
    told = capsys.readouterr().out
    assert all(part in told for part in ("--method", "num_generations", "lora_r", "countdown"))
    assert all(
        part in told for part in ("reinforce++, gspo, dr-grpo", "with a critic (ppo, a2c) also", "lam")
    )
    assert main([]) == 2
