"""Starting and resuming runs."""

import json
from pathlib import Path

from aent.cli.main import main

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
