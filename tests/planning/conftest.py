"""A tiny model with its counted sizes, and plans of recipes."""

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from aent.planning.estimate import plan
from aent.planning.model import count
from aent.training.prepare import read_request

BATCH, LENGTH = 7, 32
TINY = {
    "vocab_size": 500, "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2,
}  # fmt: skip


@pytest.fixture
def shape():
    """The arguments of the tiny model's configuration."""
    return TINY


@pytest.fixture
def tiny():
    """Build the tiny model and count it: ``model, sizes = tiny(attn_implementation="eager")``."""

    def build(**changes):
        torch.manual_seed(0)
        config = Qwen2Config(**{**TINY, "tie_word_embeddings": False, **changes})
        return Qwen2ForCausalLM(config), count(config)

    return build


@pytest.fixture
def ids():
    return torch.randint(0, 500, (BATCH, LENGTH))


@pytest.fixture
def planned():
    """Plan a recipe with flags: ``planned("--max_steps", "3", name="gsm8k", gpus=2)``."""

    def build(*argv, name="paper-math", **keywords):
        return plan(name, read_request([name, *argv]).recipe, **keywords)

    return build
