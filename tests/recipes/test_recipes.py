"""Recipes at the paper's settings, with what they name made tiny: the settings themselves stay."""

import json
import shutil
from pathlib import Path

import paper_models
import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import (
    _validate_launch_command,
    launch_command_parser,
    prepare_multi_gpu_env,
)
from safetensors.torch import load_file

from aent.cli.main import main
from aent.methods.load import load_method
from aent.runs.recipe import load_recipe
from aent.training.prepare import prepare, read_request

ACCELERATE = Path(__file__).parents[2] / "examples/accelerate"
PAPER = ["paper-math", "paper-openr1", "paper-deepmath"]
RECIPES = [*PAPER, "gsm8k-lora"]
EACH = pytest.mark.parametrize("recipe", RECIPES)


@pytest.fixture
def recipe():
    return "paper-math"  # where a test is about one


@pytest.fixture
def small(recipe, tmp_path, monkeypatch):
    """An empty folder with the model and rows of a recipe; gives the flags that name them."""
    monkeypatch.chdir(tmp_path)
    return paper_models.prepare(recipe, tmp_path)


def rows(run):
    logged = [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]
    return [row for row in logged if "loss" in row]


@EACH
def test_it_trains_and_goes_on_from_a_checkpoint(recipe, small):
    """Eight optimizer steps; again from the fourth they are the same steps."""
    argv = ["train", recipe, *small, "--max_steps", "8", "--save_steps", "4", "--output_dir", "whole"]
    assert main(argv) == 0
    whole = rows("whole")
    assert [row["step"] for row in whole] == list(range(1, 9))
    if recipe in PAPER:  # rollouts serve four steps, and only then the coefficient may move
        assert [row["step"] for row in whole if "aent/entropy" in row] == [4, 8]
    later = shutil.ignore_patterns("policy", ".trained", "checkpoint-8", "*.png")  # than the fourth step
    shutil.copytree("whole", "resumed", ignore=later)
    assert main(["train", "--resume", "resumed"]) == 0
    for key in ("reward", "entropy", "aent/coef", "aent/entropy"):
        assert [row.get(key) for row in rows("resumed")] == [row.get(key) for row in whole]
    weights = "adapter_model.safetensors" if recipe == "gsm8k-lora" else "model.safetensors"
    ends = [load_file(f"{run}/policy/{weights}") for run in ("whole", "resumed")]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


@EACH
@pytest.mark.parametrize(
    ("flags", "due"),
    [
        (["--method", "none"], {"name": "none"}),
        (["--method", "entropy-bonus", "--method.coef", "0.002"], {"name": "entropy-bonus", "coef": 0.002}),
    ],
    ids=["grpo", "entropy bonus"],
)
def test_the_other_methods_are_two_flags_away(recipe, flags, due, small):
    request = read_request([recipe, *small, *flags])
    run = prepare(request)
    assert run.recipe.method == due
    assert request.stem == f"{recipe}-{due['name']}"


@pytest.mark.parametrize(
    ("recipe", "gpus", "prompts", "group", "batches", "warmup"),
    [("paper-math", 4, 512, 16, 420, 30), ("paper-openr1", 8, 256, 8, 936, 156)],
)
def test_its_batches_are_the_papers(recipe, gpus, prompts, group, batches, warmup):
    """512 x 16 and 256 x 8 completions, 4 updates on each; 7,500 // 512 x 30 epochs, 40,000 // 256 x 6."""
    given = load_recipe(recipe).trainer
    passes, accumulated = given["steps_per_generation"], given["gradient_accumulation_steps"]
    assert given["per_device_train_batch_size"] * gpus * passes == prompts * group
    assert given["num_generations"] == group
    assert passes / accumulated == 4
    assert given["max_steps"] == 4 * batches
    assert load_method(load_recipe(recipe).method).controller.warmup == warmup


@EACH
def test_the_prompt_has_the_form_of_the_chat_template(recipe, small):
    from transformers import AutoTokenizer

    run = prepare(read_request([recipe, *small]))
    prompt = run.task.dataset("train")[0]["prompt"]
    tokenizer = AutoTokenizer.from_pretrained("model")
    text = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    if recipe == "paper-openr1":
        assert text.startswith("<｜begin▁of▁sentence｜><｜User｜>What is 0+1?\nPlease reason step by step")
        assert text.endswith("\\boxed{}.<｜Assistant｜><think>\n")
    elif recipe in PAPER:  # the system turn is the recipe's, so that the template adds none of its own
        asked = "Please reason step by step, and put your final answer within \\boxed{}."
        assert text.startswith(
            f"<|im_start|>system\n{asked}<|im_end|>\n<|im_start|>user\nWhat is 0+1?<|im_end|>"
        )
    assert run.task.validate("train") == 24


def environment(file, processes=2):
    """What `accelerate launch --config_file FILE` hands to its processes."""
    words = ["--config_file", str(ACCELERATE / file), "--num_processes", str(processes)]
    parsed = launch_command_parser().parse_args([*words, "--main_process_port", "0", "script.py"])
    arguments, *_ = _validate_launch_command(parsed)
    return arguments, prepare_multi_gpu_env(arguments)


def test_two_processes_with_the_fsdp2_file(small, launch):
    """As `accelerate launch --config_file fsdp2.yaml` starts them, in float32 and on CPUs."""
    _, given = environment("fsdp2.yaml")
    script = Path(__file__).parent / "fsdp_ranks.py"
    flags = ["--use_cpu", "--gradient_checkpointing", "true", "--max_steps", "4", "--save_steps", "4",
             "--output_dir", "run"]  # fmt: skip
    launch(script, "train", "paper-math", *small, *flags, **{**given, "ACCELERATE_MIXED_PRECISION": "no"})
    assert [Path("run", f"rows-of-the-head-{rank}").read_text() for rank in (0, 1)] == ["72 of 144"] * 2
    assert Path("run/checkpoint-4/pytorch_model_fsdp.bin").exists()
    assert len(rows("run")) == 4
    whole = load_file("run/policy/model.safetensors")
    before = load_file("model/model.safetensors")
    assert all(whole[name].shape == weight.shape for name, weight in before.items())
    assert any(not torch.equal(whole[name], weight) for name, weight in before.items())
    assert torch.equal(whole["lm_head.weight"], whole["model.embed_tokens.weight"])  # tied, and saved twice


def test_the_zero3_file_is_one_that_accelerate_reads():
    """DeepSpeed itself is not installed where tests run."""
    given = yaml.safe_load((ACCELERATE / "zero3.yaml").read_text())
    read = load_config_from_file(str(ACCELERATE / "zero3.yaml"))  # refuses keys that it does not know
    assert read.deepspeed_config == given["deepspeed_config"]
    known = vars(launch_command_parser().parse_args(["script.py"]))
    assert set(given["deepspeed_config"]) <= set(known)
    arguments, _ = environment("zero3.yaml")
    assert (arguments.use_deepspeed, arguments.zero_stage) == (True, 3)


def test_a_vllm_server_is_flags():
    argv = ["paper-math", "--vllm_mode", "server", "--vllm_server_host", "10.0.0.1"]
    recipe = read_request(argv).recipe
    assert recipe.trainer["vllm_mode"] == "server"
    assert recipe.trainer["use_vllm"] is True


def test_without_vllm_a_recipe_that_asks_for_it_says_so(small, capsys):
    argv = ["train", "paper-math", *small]
    argv[argv.index("--use_vllm") + 1] = "true"
    assert main(argv) == 1
    assert "vllm is not installed" in capsys.readouterr().err
