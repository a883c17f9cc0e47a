from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from aent.evaluation import Record

CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz+="


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    vocab = {"<pad>": 0, "<end>": 1, **{c: i + 2 for i, c in enumerate(CHARACTERS)}}
    core = Tokenizer(models.WordLevel(vocab, unk_token="<pad>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    core.decoder = decoders.Fuse()
    made = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<end>")
    made.chat_template = (
        "{% for m in messages %}{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}={% endif %}"
    )
    return made


@pytest.fixture
def model() -> Qwen2ForCausalLM:
    """A random policy far from uniform, so that entropies and answers vary."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = Qwen2Config(
            vocab_size=40,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            initializer_range=0.3,
            eos_token_id=1,
            pad_token_id=0,
        )
        return Qwen2ForCausalLM(config)


@pytest.fixture(scope="session")
def record() -> Callable[..., Record]:
    def make(problem: int, sample: int, score: float | None, answer: str | None = "a", **fields):
        usual = SimpleNamespace(prompt=f"p{problem}", completion="c", entropy=1.0, length=1)
        vars(usual).update(fields)
        return Record(problem=problem, sample=sample, score=score, answer=answer, **vars(usual))

    return make
