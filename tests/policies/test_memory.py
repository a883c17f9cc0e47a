import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import aent.policies.memory as memory_module
from aent.errors import InputError
from aent.policies.memory import generation_memory
from aent.policies.sampling import Sampling


@pytest.fixture
def policy():
    shape = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3}
    return LlamaForCausalLM(
        LlamaConfig(**shape, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True)
    )


# Per answer with a prompt of 2 tokens and 6 new ones: a cache of 2 * 3 layers * 2 heads * 4 wide * 8 tokens
# = 384 numbers, 2 * (8 * 16 + 3 * 24) = 400 numbers of a layer, and 6 * 40 numbers of logits in float32.
EACH = (384 + 400) * 4 + 240 * 4


def test_the_memory_of_a_batch_by_hand(policy, tokenizer):
    prompts = [tokenizer.decode([5]), tokenizer.decode([5, 6])]
    memory = generation_memory(policy, tokenizer, prompts, Sampling(samples=4, max_tokens=6, batch_size=3))
    assert memory.batch == 3 * EACH
    assert memory.weights == 4 * sum(p.numel() for p in policy.parameters())
    everything = generation_memory(policy, tokenizer, prompts, Sampling(samples=4, max_tokens=6))
    assert everything.batch == 8 * EACH  # fewer answers than a batch may have


def test_half_the_bytes_in_bfloat16_but_for_the_logits(policy, tokenizer):
    prompts = [tokenizer.decode([5, 6])]
    memory = generation_memory(policy.to(torch.bfloat16), tokenizer, prompts, Sampling(max_tokens=6))
    assert memory.batch == (384 + 400) * 2 + 240 * 4


def test_a_batch_that_does_not_fit_is_refused_with_one_that_does(policy, tokenizer, monkeypatch):
    monkeypatch.setattr(memory_module, "_free", lambda device: 5 * EACH + 1)
    prompts = [tokenizer.decode([5, 6])]
    sampling = Sampling(samples=8, max_tokens=6)
    with pytest.raises(InputError, match=r"8 answers does not fit: .* GiB free; give --batch-size 5,"):
        generation_memory(policy, tokenizer, prompts, sampling)
    monkeypatch.setattr(memory_module, "_free", lambda device: 0)
    with pytest.raises(InputError, match="no room for even one answer"):
        generation_memory(policy, tokenizer, prompts, sampling)
