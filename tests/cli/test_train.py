"""`aent train` as a user meets it, on small runs."""

import json
import os
import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from trl import GRPOConfig

from aent.algorithms import ALGORITHMS
from aent.cli.main import main
from aent.methods.load import METHODS
from aent.runs.recipe import recipe_names
from aent.tasks import TASKS
from aent.training.prepare import SECTIONS
from aent.trl import AEntPPOConfig
from aent.trl.config import AEntArguments

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


def test_help_explains_the_flags_of_aent_and_says_where_those_of_the_host_are(capsys):
    """Every flag that aent adds to TRL's is explained; names come from the tables, never from a copy."""
    assert main(["train", "--help"]) == 0
    printed = capsys.readouterr().out
    own = {field.name for field in fields(AEntArguments)} | {
        field.name
        for field in fields(AEntPPOConfig)
        if field.name not in {f.name for f in fields(GRPOConfig)}
    }
    for name in {*own, *SECTIONS, "algorithm", "resume", "output_dir"} - {"aent_method"}:
        assert re.search(rf"^--{name}[. ]", printed, re.MULTILINE), name
    for names in (METHODS, TASKS, ALGORITHMS, recipe_names()):
        assert all(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", printed) for name in names)
    assert "https://huggingface.co/docs/trl/grpo_trainer#trl.GRPOConfig" in printed
    assert "docs/trl.md" in printed
    assert "vllm_tensor_parallel_size" not in printed
    assert max(map(len, printed.splitlines())) <= 110
    assert main([]) == 2
