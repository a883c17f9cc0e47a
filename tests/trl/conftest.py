"""A tiny policy, prompts and a reward for the trainers' tests."""

import sys
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

sys.path.insert(0, str(Path(__file__).parent))  # for stepping.py

VOCAB = 96


@pytest.fixture(scope="session")
def tokenizer():
    words = {"<pad>": 0, "<eos>": 1, **{f"t{i}": i for i in range(2, VOCAB)}}
    core = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", padding_side="left"
    )


@pytest.fixture(scope="session")
def prompts():
    return Dataset.from_dict({"prompt": [f"t{2 + i % 40} t{2 + (7 * i) % 40}" for i in range(64)]})


@pytest.fixture(scope="session")
def make_model():
    def make(seed=0, **shape):
        torch.manual_seed(seed)
        config = Qwen2Config(
            **{
                "vocab_size": VOCAB,
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
                "max_position_embeddings": 64,
                "tie_word_embeddings": False,
                "initializer_range": 0.2,  # logits with structure, so that a clamp matters
                "eos_token_id": 1,
                "pad_token_id": 0,
                "bos_token_id": None,
                **shape,
            }
        )
        return Qwen2ForCausalLM(config)

    return make


@pytest.fixture(scope="session")
def reward():
    def low_tokens(completions, **_):
        """Share of the words that come early in the vocabulary."""
        words = [c.split() for c in completions]
        return [sum(int(w[1:]) < 40 for w in ws) / max(1, len(ws)) for ws in words]

    return low_tokens


@pytest.fixture
def options(tmp_path):
    """Options of a short, quiet run on the CPU."""
    return {
        "output_dir": str(tmp_path / "out"),
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": "none",
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "beta": 0.0,
        "per_device_train_batch_size": 16,
        "num_generations": 8,
        "max_completion_length": 8,
        "learning_rate": 1e-3,
        "max_steps": 3,
        "seed": 1,
    }


@pytest.fixture
def build(make_model, tokenizer, prompts, reward):
    def build(trainer, config, options, model=None, **keywords):
        return trainer(
            model=make_model() if model is None else model,
            reward_funcs=keywords.pop("reward_funcs", reward),
            args=config(**options),
            train_dataset=prompts,
            processing_class=tokenizer,
            **keywords,
        )

    return build
