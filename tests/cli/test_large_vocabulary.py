"""A model with 262,144 tokens through `aent train` with no settings; it has the layers of Gemma 3."""

import json
import math
import resource
import subprocess
import sys
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, PreTrainedTokenizerFast

from aent.tasks import load_task

VOCAB = 262_144
SPECIAL = ["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>"
    "{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
TASK = """
from dataclasses import dataclass
from aent.tasks import Words

@dataclass(frozen=True, kw_only=True)
class Digits(Words):
    '''Pays for digits, which a model with random weights writes now and then.'''

    def score(self, completion, row):
        return sum(letter.isdigit() for letter in completion) / max(len(completion), 1)
"""
"""The names of unused tokens have digits too."""


def tokenizer():
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    texts = [row["prompt"][-1]["content"] for row in load_task("words").dataset("train").to_list()]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(texts, trainer)
    parts = json.loads(core.to_str())["model"]
    vocab, merges = parts["vocab"], [tuple(pair) for pair in parts["merges"]]
    vocab |= {f"<unused{index}>": index for index in range(len(vocab), VOCAB)}
    core.model = models.BPE(vocab=vocab, merges=merges)
    core.add_special_tokens([AddedToken(name, special=True) for name in SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<bos>",
        eos_token="<end_of_turn>",
        pad_token="<pad>",
        padding_side="left",
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


@pytest.fixture(scope="module")
def gemma(tmp_path_factory):
    """Two layers, of a sliding window and of full attention, with random weights and a tied head."""
    folder = tmp_path_factory.mktemp("gemma")
    tokens: Any = tokenizer()
    assert len(tokens) == VOCAB
    torch.manual_seed(0)
    model = Gemma3ForCausalLM(
        Gemma3TextConfig(
            vocab_size=VOCAB, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=1, head_dim=32, sliding_window=16,
            layer_types=["sliding_attention", "full_attention"], initializer_range=0.3,
            eos_token_id=tokens.eos_token_id, pad_token_id=tokens.pad_token_id,
            bos_token_id=tokens.bos_token_id,
        )
    )  # fmt: skip
    model.save_pretrained(folder)
    tokens.save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_steps_of_aent_auto(gemma, tmp_path):
    (tmp_path / "digits_task.py").write_text(TASK)
    program = "from aent.cli.main import main; raise SystemExit(main())"
    command = [
        "-c", program, "train", "words", "--task", "digits_task.Digits", "--model_name_or_path", gemma,
        "--method", "aent-auto", "--evaluation", "null", "--max_steps", "4", "--logging_steps", "1",
        "--per_device_train_batch_size", "8", "--max_completion_length", "16", "--output_dir", "run",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if "aent/entropy" in row]
    entropy = [row["aent/entropy"] for row in rows]
    gib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(
        f"entropy {entropy[0]:.2f} to {entropy[-1]:.2f} nats, reward {rows[-1]['reward']:.3f}, {gib:.1f} GiB"
    )
    assert len(rows) == 4
    assert all(math.isfinite(row[name]) for row in rows for name in ("loss", "grad_norm", "aent/coef"))
    assert 0.5 * entropy[0] < min(entropy)
    assert max(entropy) < 1.1 * entropy[0]
    assert gib < 8
