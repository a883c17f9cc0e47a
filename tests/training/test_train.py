"""Starting and resuming runs."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from aent.cli.main import main
from aent.runs.folder import RunFolder
from aent.training.run import Run

SHORT = ["--per_device_train_batch_size", "32", "--num_generations", "8", "--logging_steps", "1",
         "--evaluation.problems", "8", "--evaluation.samples", "4"]  # fmt: skip


def rows(run):
    return [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]


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


TINY = [*SHORT[:6], "--evaluation", "null", "--max_steps", "2"]


def test_a_relative_model_is_looked_for_in_the_folder_where_the_run_started(
    workplace, policy, capsys, monkeypatch
):
    """The message was about the connection to a hub."""
    shutil.copytree(policy, "start")
    argv = ["train", "--model_name_or_path", "start", *TINY, "--output_dir", "run"]
    with monkeypatch.context() as patched:
        patched.setattr("aent.training.run.Run._train", interrupted)
        assert main(argv) == 130
    elsewhere = workplace / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert main(["train", "--resume", "../run"]) == 1
    assert "If 'start' is a folder, resume the run where it was started" in capsys.readouterr().err


def interrupted(*_):
    raise KeyboardInterrupt


def test_a_signal_while_the_policy_is_written_stops_the_run(workplace, policy, capsys, monkeypatch):
    """It was taken for one during a step, of which no more comes, and the evaluation began."""
    save = Run._save

    def saved(self, trainer, folder):
        os.kill(os.getpid(), signal.SIGTERM)
        save(self, trainer, folder)

    argv = ["train", "--model_name_or_path", str(policy), *SHORT, "--max_steps", "1", "--output_dir", "run"]
    with monkeypatch.context() as patched:
        patched.setattr(Run, "_save", saved)
        assert main(argv) == 130
    assert "interrupted; what was done is kept" in capsys.readouterr().out
    assert Path("run/policy/config.json").exists()
    assert not Path("run/after").exists()
    assert main(["train", "--resume", "run"]) == 0
    assert Path("run/after/results.json").exists()


def test_a_run_that_is_going_on_is_not_resumed_beside_itself(workplace, policy, capsys):
    """The rows of both would be in one file, and each would write over the other's checkpoints."""
    argv = ["train", "--model_name_or_path", str(policy), *TINY, "--max_steps", "100000"]
    first = subprocess.Popen(
        [sys.executable, "-m", "aent.cli.main", *argv, "--output_dir", "run"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert first.stdout is not None
    while "step " not in first.stdout.readline():
        assert first.poll() is None
    assert main(["train", "--resume", "run"]) == 1
    assert "another aent train is at work in run; wait for it or stop it" in capsys.readouterr().err
    first.kill()
    first.wait()
    assert [row["step"] for row in rows("run")] == list(range(1, len(rows("run")) + 1))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interrupt_while_the_folder_is_created_leaves_one_to_resume(
    number, workplace, policy, capsys, monkeypatch
):
    create = RunFolder.create.__func__

    def interrupted(cls, *arguments):
        os.kill(os.getpid(), number)
        return create(cls, *arguments)

    monkeypatch.setattr(RunFolder, "create", classmethod(interrupted))
    argv = ["train", "--model_name_or_path", str(policy), *TINY, "--output_dir", "run"]
    assert main(argv) == 130
    assert "Continue with: aent train --resume run" in capsys.readouterr().out
    assert json.loads(Path("run/versions.json").read_text())["aent"]
    assert rows("run") == [] if Path("run/metrics.jsonl").exists() else True
    assert main(["train", "--resume", "run"]) == 0
    assert [row["step"] for row in rows("run") if "loss" in row] == [1, 2]


def test_a_finished_run_stays_finished_without_its_policy(workplace, policy, capsys):
    argv = ["train", "--model_name_or_path", str(policy), *TINY, "--output_dir", "run"]
    assert main(argv) == 0
    shutil.rmtree("run/policy")
    for checkpoint in Path("run").glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    logged = rows("run")
    assert RunFolder(Path("run")).finished
    capsys.readouterr()
    assert main(["train", "--resume", "run"]) == 0
    assert "step 1/2" not in capsys.readouterr().out
    assert rows("run") == logged


def test_the_kept_recipe_has_the_numbers_as_they_were_written(workplace, policy):
    argv = ["train", "--model_name_or_path", str(policy), *TINY, "--warmup_steps=5", "--output_dir", "run"]
    assert main([*argv, "--max_grad_norm", "1.0"]) == 0
    text = Path("run/config.yaml").read_text()
    assert "warmup_steps: 5\n" in text
    assert "max_grad_norm: 1.0\n" in text
    trainer = yaml.safe_load(text)["trainer"]
    assert trainer["beta"] == 0.0
    assert isinstance(trainer["beta"], float)  # as in the recipe


def test_the_model_card_names_what_the_run_started_from(workplace, policy):
    argv = ["train", "--model_name_or_path", str(policy), *TINY, "--output_dir", "run"]
    assert main(argv) == 0
    card = Path("run/README.md").read_text()
    assert f"fine-tuned version of `{policy}`." in card
    assert 'model="run/policy"' in card
    assert "None" not in card


@pytest.mark.parametrize("words", [["--resume", "lr=0.1 [x]"], ["--resume=lr=0.1 [x]"]])
def test_a_folder_may_have_any_name(words, workplace, policy, capsys):
    """An equals sign, a space, and what rich would read as a style."""
    folder = "lr=0.1 [x]"
    argv = ["--model_name_or_path", str(policy), "--evaluation", "null", "--max_steps", "1"]
    assert main(["train", *argv, "--output_dir", folder]) == 0
    assert f"run folder: {folder}\n" in capsys.readouterr().out
    assert main(["train", *words]) == 0
    assert f"{folder}/policy" in capsys.readouterr().out
    assert main(["train", *words, "--max_steps", "2"]) == 1
    assert "takes a run folder and no other flag" in capsys.readouterr().err
