import json
import shutil
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from aent import InputError
from aent.policies import Warmstart, cached_policy, generate, warmstart
from aent.policies.load import load_model
from aent.policies.sampling import Sampling
from aent.policies.tokenizer import character_tokenizer
from aent.policies.warmstart import small_model
from aent.tasks import Countdown, load_task

TASK = Countdown()
TINY = {"hidden_size": 32, "layers": 1, "heads": 2, "batch_size": 32}


def nll(model, tokenizer, task, n=64):
    """Mean negative log-likelihood of demonstrated completions, nats per token."""
    total = count = 0.0
    for row in task.demonstrations(n, seed=99):
        prompt, completion = (tokenizer(row[k]).input_ids for k in ("prompt", "completion"))
        ids = torch.tensor([[*prompt, *completion, tokenizer.eos_token_id]])
        with torch.no_grad():
            logp = model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])
        total -= logp[len(prompt) - 1 :].sum().item()
        count += len(completion) + 1
    return total / count


@pytest.mark.parametrize("arch", ["llama", "qwen3"])
def test_the_saved_folder_loads_as_any_other_and_has_learned(arch, tmp_path):
    """Among 64 tokens an untrained policy is at log 64 = 4.16 nats; half of that needs learning."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    config = Warmstart(arch=arch, vocab_size=64, demonstrations=3000, **TINY)
    warmstart(config, TASK, tmp_path / "policy")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "policy")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "policy")
    assert (tmp_path / "policy/model.safetensors").exists()
    assert model.config.model_type == arch
    assert json.loads((tmp_path / "policy/warmstart.json").read_text())["task"]["name"] == "countdown"
    reference = character_tokenizer(TASK.alphabet, 64)
    text = "3,5,7 22=(3*5)+7"
    assert tokenizer(text).input_ids == reference(text).input_ids
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert nll(small_model(config, reference), reference, TASK) == pytest.approx(4.16, abs=0.3)
    assert nll(model, tokenizer, TASK) < 2.08
    assert sorted(p.name for p in tmp_path.iterdir()) == ["policy"]  # no scratch left behind


def test_the_same_seed_gives_the_same_policy(tmp_path):
    from safetensors.torch import load_file

    config = Warmstart(vocab_size=64, demonstrations=128, **TINY)
    first, second = (warmstart(config, TASK, tmp_path / name) for name in "ab")
    left, right = (load_file(folder / "model.safetensors") for folder in (first, second))
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_a_policy_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setenv("AENT_CACHE", str(tmp_path))
    config = Warmstart(vocab_size=64, demonstrations=64, **TINY)
    made, again = cached_policy(config, TASK), cached_policy(config, TASK)
    assert (made[1], again[1]) == (False, True)
    assert made[0] == again[0]
    assert cached_policy(config, Countdown(max_target=50))[0] != made[0]


def test_a_cached_policy_that_was_cut_short_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("AENT_CACHE", str(tmp_path))
    config = Warmstart(vocab_size=64, demonstrations=64, **TINY)
    folder, _ = cached_policy(config, TASK)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    message = (
        r"cached policy .*: model\.safetensors is cut short; remove this folder, and the next run makes it"
    )
    with pytest.raises(InputError, match=message):
        cached_policy(config, TASK)
    shutil.rmtree(folder)
    assert cached_policy(config, TASK) == (folder, False)


def test_an_interrupted_warm_start_leaves_no_half_policy(tmp_path, monkeypatch):
    monkeypatch.setenv("AENT_CACHE", str(tmp_path))

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_policy(Warmstart(vocab_size=64, demonstrations=64, **TINY), TASK, callbacks=interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arch": "gpt"}, r"unknown architecture 'gpt'. Known: llama, qwen3"),
        ({"vocab_size": 40_000}, "vocab_size=40000 must lie between 64 and 32768"),
        ({"hidden_size": 30}, "hidden_size=30 must be a multiple of twice heads=4"),
        ({"hidden_size": -8}, "hidden_size=-8 must be at least 1"),
        ({"heads": 0}, "heads=0 must be at least 1"),
        ({"layers": 0}, "layers=0 must be at least 1"),
        ({"seed": -1}, r"seed=-1 must be at least 0 and below 2\*\*32"),
        ({"seed": 2**32}, "seed=4294967296 must be"),
        ({"demonstrations": 0}, "demonstrations=0"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(InputError, match=message):
        Warmstart(**change)


def test_a_reasoning_gym_policy_learns_the_questions_of_its_data_set(tmp_path):
    """An untrained policy is at log 64 = 4.16 nats; one that guesses ten digits evenly at 2.3."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    task = load_task("reasoning-gym", source="lcm", config={"max_value": 30}, train_size=100, test_size=20)
    config = Warmstart(vocab_size=64, demonstrations=3000, **TINY)
    folder = warmstart(config, task, tmp_path / "policy")
    model, tokenizer = (c.from_pretrained(folder) for c in (AutoModelForCausalLM, AutoTokenizer))
    question = task.dataset("test")[0]["prompt"]
    assert tokenizer.decode(tokenizer(question).input_ids) == question
    assert tokenizer.unk_token_id not in tokenizer(question).input_ids
    assert nll(model, tokenizer, task) < 2.3


@dataclass(frozen=True, kw_only=True)
class Gap(Countdown):
    """Countdown whose alphabet forgets two characters."""

    alphabet: ClassVar[str] = "0123456789+-(), "


def test_a_character_that_the_alphabet_lacks_is_named(tmp_path):
    with pytest.raises(InputError, match=r"demonstration 0 holds .*'=', which the task's alphabet lacks: '"):
        warmstart(Warmstart(vocab_size=64, demonstrations=5, **TINY), Gap(), tmp_path / "policy")


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "precious").write_text("x")
    with pytest.raises(InputError, match="is not empty"):
        warmstart(Warmstart(), TASK, tmp_path)
    with pytest.raises(
        InputError, match=r"'math' has no demonstrations .*alphabet, max_length, demonstrations\)"
    ):
        warmstart(Warmstart(), load_task("math"), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@dataclass(frozen=True, kw_only=True)
class Long(Countdown):
    """Countdown with prompts of about 700 characters, whose answers may be longer than they need to be."""

    name: ClassVar[str] = "long"
    free_form: ClassVar[bool] = True

    def draw(self, rng):
        row = super().draw(rng)
        return row and {**row, "prompt": " " * 700 + row["prompt"]}


def test_the_context_holds_the_task_that_the_policy_was_made_for(tmp_path):
    """With what `evaluate` gives an answer of any form: 512 tokens."""
    folder = warmstart(Warmstart(vocab_size=64, demonstrations=64, **TINY), Long(), tmp_path / "policy")
    model, tokenizer = load_model(str(folder))
    row = Long().dataset("test")[0]
    answers = generate(model, tokenizer, [row["prompt"]], Sampling(max_tokens=512, temperature=0))
    assert len(answers) == 1
