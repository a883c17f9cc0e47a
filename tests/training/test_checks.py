"""Settings that would fail late, as a trace, or train nothing."""

from math import inf, nan
from types import SimpleNamespace

import pytest

from aent.errors import InputError
from aent.training.checks import check_length, check_numbers, check_packages, check_resumable
from aent.training.prepare import prepare, read_request


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("learning_rate", (nan, inf, -1e-5), (0.0, 1e-5)),
        ("temperature", (0, -1.0, nan), (0.7,)),
        ("per_device_train_batch_size", (0, -4), (1,)),
        ("gradient_accumulation_steps", (0,), (1, 4)),
        ("num_iterations", (0, -1), (1, 2)),
        ("max_steps", (0, -5), (1, -1)),
        ("save_steps", (0, -1), (1, 0.1)),
        ("top_p", (0, 1.5), (1.0, 0.9)),
        ("seed", (-1,), (0, 3)),
        ("adam_beta2", (nan,), (0.999,)),
    ],
)
def test_numbers_out_of_range_are_named(name, bad, good):
    for value in bad:
        with pytest.raises(InputError, match=rf"{name}={value} must be "):
            check_numbers({name: value})
    for value in good:
        check_numbers({name: value, "bf16": False, "beta": 0.0})


def sized(**changes):
    """Batches of 64 completions, 16 of each problem: 4 problems."""
    usual = {"max_steps": 5, "num_train_epochs": 3.0, "generation_batch_size": 64, "num_generations": 16}
    return SimpleNamespace(**{**usual, **changes})


def test_a_run_without_a_step_is_refused():
    check_length(sized(), prompts=4)
    with pytest.raises(
        InputError, match=r"3 training problems, but a batch of rollouts takes 4: 64 completions"
    ):
        check_length(sized(), prompts=3)
    check_length(sized(max_steps=-1), prompts=4)
    check_length(sized(num_train_epochs=0), prompts=4)  # max_steps count
    with pytest.raises(InputError, match=r"num_train_epochs=0 trains nothing"):
        check_length(sized(max_steps=-1, num_train_epochs=0), prompts=4)


def test_checkpoints_that_cannot_be_resumed_from_are_refused():
    check_resumable(SimpleNamespace(save_only_model=False))
    with pytest.raises(InputError, match="save_only_model=True leaves the optimizer"):
        check_resumable(SimpleNamespace(save_only_model=True))
    with pytest.raises(InputError, match="save_only_model"):
        prepare(read_request(["--save_only_model", "true"]))


def test_the_number_of_problems_is_that_of_the_task(workplace):
    """gsm8k has 4 rows here; a batch of 32 with groups of 4 takes 8."""
    for name in ("train", "test"):
        rows = (f'{{"question": "{i}+1?", "answer": "#### {i + 1}"}}\n' for i in range(4))
        (workplace / f"{name}.jsonl").write_text("".join(rows))
    task = ["--task", "{name: gsm8k, path: ., train: train.jsonl, test: test.jsonl, chat: false}"]
    size = ["--per_device_train_batch_size", "32", "--evaluation", "null"]
    with pytest.raises(InputError, match=r"there are 4 training problems, but a batch of rollouts takes 8"):
        prepare(read_request(["countdown", *task, *size, "--num_generations", "4", "--policy", "null",
                              "--model_name_or_path", str(model(workplace))]))  # fmt: skip


def model(folder):
    """A model folder that is only looked at."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from aent.policies.tokenizer import character_tokenizer

    character_tokenizer("0123456789+?", 64).save_pretrained(folder / "model")
    shape = {"vocab_size": 64, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
             "num_attention_heads": 1}  # fmt: skip
    LlamaForCausalLM(LlamaConfig(**shape)).save_pretrained(folder / "model")
    return folder / "model"


def test_missing_packages_are_named_before_the_start(monkeypatch):
    monkeypatch.setattr("aent.training.checks.find_spec", lambda name: None)
    for option, package in (("use_liger_kernel", "liger_kernel"), ("load_in_4bit", "bitsandbytes")):
        with pytest.raises(InputError, match=f"{option} is set but {package} is not installed"):
            check_packages(SimpleNamespace(**{option: True}))
        check_packages(SimpleNamespace(**{option: False}))


def test_an_unknown_tracker_is_named():
    with pytest.raises(InputError, match="nosuchtracker"):
        check_packages(SimpleNamespace(report_to=["nosuchtracker"]))
    check_packages(SimpleNamespace(report_to=[]))
