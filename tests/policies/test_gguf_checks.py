"""Checks against metadata, each on a model and facts that disagree in one point."""

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from aent.errors import InputError
from aent.policies.gguf_checks import check_model, check_readable, closing_token

FACTS = {
    "general.architecture": "llama",
    "llama.block_count": 1,
    "llama.embedding_length": 8,
    "llama.attention.head_count": 2,
    "llama.rope.freq_base": 10000.0,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": list("abcd"),
    "tokenizer.ggml.eos_token_id": 0,
    # 4 x 8 embedding, 4 attention matrices of 8 x 8, 3 of 8 x 16, 3 norms of 8: 32 + 256 + 384 + 24.
    "tensors": {"token_embd.weight": [8, 4], "others": [664]},
}


@pytest.fixture(scope="module")
def tiny():
    shape = {"vocab_size": 4, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1}
    return LlamaForCausalLM(LlamaConfig(**shape, num_attention_heads=2, tie_word_embeddings=True))


def test_a_model_like_its_facts_passes(tiny):
    check_model(tiny, FACTS)
    check_readable(FACTS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"llama.block_count": 2}, "num_hidden_layers is 1 in the model and 2"),
        ({"llama.attention.layer_norm_rms_epsilon": 1e-5}, "rms_norm_eps is 1e-06"),
        ({"llama.rope.freq_base": 500.0}, r"rotary base is \[10000.0\], and 500.0"),
        ({"tokenizer.ggml.tokens": list("abcde")}, "vocab_size is 4 in the model and 5"),
        ({"tensors": {"output.weight": [8, 4], "others": [664]}}, "tie_word_embeddings is True"),
        ({"tensors": {"others": [700]}}, "the model has 696 weights and the file 700"),
    ],
)
def test_a_model_unlike_its_facts_is_refused(change, message, tiny):
    with pytest.raises(InputError, match=message):
        check_model(tiny, FACTS | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"general.architecture": "llmaa"}, "Did you mean 'llama'"),
        ({"tokenizer.ggml.model": "bert"}, "tokenizer.ggml.model 'bert'"),
        ({"tokenizer.ggml.eos_token_id": None}, "names no end-of-text token"),
        ({"tensors": {"rope_freqs.weight": [4]}}, r"scales its positions \(rope_freqs.weight\)"),
    ],
)
def test_features_that_cannot_be_checked_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        check_readable(FACTS | change)


def test_without_a_chat_template_nothing_closes_a_turn(tokenizer):
    tokenizer.chat_template = None
    assert closing_token(tokenizer) is None
