"""What `aent plan` prints."""

import pytest
from transformers import LlamaConfig

from aent.cli.main import main


def test_the_papers_first_setting(capsys):
    assert main(["plan", "paper-math", "--gpu", "a100-80g,h200", "--mean_length", "800"]) == 0
    shown = capsys.readouterr().out
    for part in ("1.544B parameters", "GPUs: 4 for training", "420 batches of rollouts: 512 prompts x 16",
                 "800 tokens", "optimizer", "a100-80g", "h200", "57 GPU-hours of GRPO", "35 of AEnt",
                 "paper GRPO 0.234, AEnt 0.256"):  # fmt: skip
        assert part in shown
    assert "l40s" not in shown


def test_help_may_follow_the_recipe(capsys):
    """It printed the hundred options of TRL."""
    assert main(["plan", "gsm8k", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: aent plan RECIPE")


def test_another_number_of_gpus_comes_with_its_flags(capsys):
    assert main(["plan", "paper-openr1", "--gpus", "16", "--vllm_mode", "server", "--server_gpus", "8"]) == 0
    shown = capsys.readouterr().out
    assert "GPUs: 16 for training, and 8 for a vLLM server" in shown
    assert "--gradient_accumulation_steps 8 --steps_per_generation 32" in shown


def test_a_model_in_a_folder_with_brackets_is_named_as_it_is(tmp_path, capsys):
    folder = tmp_path / "model [v2] [/b]"
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaConfig(**shape, vocab_size=64).save_pretrained(folder)
    assert main(["plan", "gsm8k", "--model_name_or_path", str(folder)]) == 0
    assert f"{folder}: 0.000B parameters" in capsys.readouterr().out


def test_what_the_paper_does_not_say_is_said(capsys):
    assert main(["plan", "paper-deepmath", "--gpu", "h100-80g"]) == 0
    assert "in no source we could read" in capsys.readouterr().out
    assert main(["plan", "gsm8k-lora"]) == 0
    shown = capsys.readouterr().out
    assert "17.6M of them in the adapter trained" in shown
    assert "paper" not in shown


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["paper-math", "--gpu", "a100"], "unknown GPU 'a100'. Did you mean 'a100-80g'?"),
        (["paper-math", "--gpus", "0"], "--gpus 0 must be a whole number"),
        (["paper-math", "--gpus", "3"], "cannot be spread evenly"),
        (["paper-maths"], "unknown recipe 'paper-maths'"),
        (["countdown"], "give a model with --model_name_or_path"),
        (["gsm8k", "--learning_rat", "1"], "unknown flag '--learning_rat'"),
        (["gsm8k", "--num_generations", "0"], "num_generations=0 must be at least 1"),
        (["gsm8k", "--gradient_accumulation_steps", "0"], "gradient_accumulation_steps=0 must be at least 1"),
        (
            ["gsm8k", "--server_gpus", "4"],
            "server_gpus=4 are for a vLLM server, but this recipe generates with",
        ),
    ],
)
def test_mistakes_are_one_message(argv, said, capsys):
    assert main(["plan", *argv]) == 1
    assert said in capsys.readouterr().err
