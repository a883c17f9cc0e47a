"""A tiny policy, prompts and a reward, for the tests and for the programs they start on several ranks."""

import os
from pathlib import Path

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

VOCAB = 96
QUIET = {
    "use_cpu": True, "bf16": False, "gradient_checkpointing": False, "report_to": "none", "logging_steps": 1,
    "save_strategy": "no", "disable_tqdm": True, "dataloader_pin_memory": False, "beta": 0.0,
    "max_completion_length": 8, "learning_rate": 1e-3, "max_steps": 3, "seed": 1,
}  # fmt: skip
"""Options of a short, quiet run on the CPU."""
MOVING = {"name": "aent", "coef": 0.01, "low": 4.3, "high": 4.4, "lr": 0.02,
          "coef_min": 0.0, "coef_max": 0.5, "warmup": 0}  # fmt: skip
"""A coefficient that moves with every update, as this policy's entropy is below the band."""


def tokenizer():
    words = {"<pad>": 0, "<eos>": 1, **{f"t{i}": i for i in range(2, VOCAB)}}
    core = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", padding_side="left"
    )


def prompts():
    return Dataset.from_dict({"prompt": [f"t{2 + i % 40} t{2 + (7 * i) % 40}" for i in range(64)]})


def make_model(seed=0, **shape):
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


def low_tokens(completions, **_):
    """Share of the words that come early in the vocabulary."""
    words = [c.split() for c in completions]
    return [sum(int(w[1:]) < 40 for w in ws) / max(1, len(ws)) for ws in words]


def trainer_of(kind, args, method, model=None):
    """A trainer of the tiny policy, in a program that runs on several ranks."""
    torch.set_num_threads(1)
    return kind(
        model=make_model() if model is None else model,
        reward_funcs=low_tokens,
        args=args,
        train_dataset=prompts(),
        processing_class=tokenizer(),
        method=method,
    )


def logged(trainer, key):
    return [row[key] for row in trainer.state.log_history if key in row]


def rank_file(folder, name=""):
    """Where this rank leaves its results."""
    return Path(folder, f"{name}{os.environ['RANK']}.json")
