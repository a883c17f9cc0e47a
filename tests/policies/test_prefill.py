"""Prompts that several rows share are read once, and nothing else changes."""

import pytest
import torch
import transformers as hf

from aent.policies import prefill
from aent.policies.generate import generate
from aent.policies.prefill import distinct_rows, shared_prompts
from aent.policies.sampling import Sampling

SHAPE = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 64,
    "initializer_range": 0.3, "eos_token_id": 1, "pad_token_id": 0, "bos_token_id": None,
}  # fmt: skip
KINDS = {
    "llama": ("Llama", {}),
    "sliding": ("Gemma3", {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]}),
    "convolutions": ("Lfm2", {"layer_types": ["conv", "full_attention"]}),
}


def model_of(name, changes):
    torch.manual_seed(0)
    config = {**SHAPE, **changes}
    kind = "Gemma3Text" if name == "Gemma3" else name
    return getattr(hf, f"{name}ForCausalLM")(getattr(hf, f"{kind}Config")(**config)).eval()


@pytest.fixture
def rows(monkeypatch):
    """Two prompts of unequal length in three rows each, in turn, and the rows of every forward pass."""
    monkeypatch.setattr(prefill, "LARGE", 32)
    short, long = [0, 0, 0, 7, 8], [5, 9, 11, 4, 6]
    ids = torch.tensor([short, long] * 3)
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


def drawn(model, rows, **options):
    passes, batches = [], []
    handle = model.base_model.register_forward_pre_hook(
        lambda _, args, inputs: passes.append(tuple(inputs["input_ids"].shape)), with_kwargs=True
    )
    torch.manual_seed(3)
    output = model.generate(
        **rows, max_new_tokens=6, do_sample=True, output_logits=True, return_dict_in_generate=True, **options
    )
    handle.remove()
    batches.append(output)
    return output.sequences, torch.stack(output.logits), passes


@pytest.mark.parametrize("kind", KINDS)
def test_each_prompt_is_read_once_and_the_answers_are_the_same(rows, kind):
    model = model_of(*KINDS[kind])
    ids, logits, passes = drawn(model, rows)
    assert passes[0] == (6, 5)
    with shared_prompts(model):
        shared_ids, shared_logits, shared_passes = drawn(model, rows)
    assert shared_passes[:2] == [(2, 5), (6, 1)]
    assert torch.equal(shared_ids, ids)
    torch.testing.assert_close(shared_logits, logits)
    assert drawn(model, rows)[2] == passes  # nothing is left behind


def test_a_padded_prompt_is_not_the_same_as_one_with_that_token_in_it():
    ids = torch.tensor([[0, 5], [0, 5], [0, 5]])
    mask = torch.tensor([[0, 1], [1, 1], [0, 1]])
    first, kind = distinct_rows(ids, mask)
    assert kind[0] == kind[2] != kind[1]
    assert torch.equal(torch.cat([ids, mask], 1)[first][kind], torch.cat([ids, mask], 1))


def test_smaller_vocabularies_and_distinct_prompts_go_the_ordinary_way(rows, monkeypatch):
    model = model_of(*KINDS["llama"])
    single = {name: values[:2] for name, values in rows.items()}
    with shared_prompts(model):
        assert drawn(model, single)[2][0] == (2, 5)
        assert drawn(model, rows, use_cache=False)[2][0] == (6, 5)
    monkeypatch.setattr(prefill, "LARGE", 64)
    with shared_prompts(model):
        assert drawn(model, rows)[2][0] == (6, 5)


def test_an_evaluation_reads_each_prompt_once(model, tokenizer, monkeypatch):
    prompts, sampling = ["1+1=", "abcdefgh12345="], Sampling(samples=4, max_tokens=8, batch_size=6)
    plain = generate(model, tokenizer, prompts, sampling)
    monkeypatch.setattr(prefill, "LARGE", 1)
    passes = []
    model.base_model.register_forward_pre_hook(
        lambda _, args, inputs: passes.append(tuple(inputs["input_ids"].shape)), with_kwargs=True
    )
    shared = generate(model, tokenizer, prompts, sampling)
    assert [rows for rows, width in passes if width > 1] == [2, 1]
    assert [answer.tokens for answer in shared] == [answer.tokens for answer in plain]
    for one, other in zip(shared, plain, strict=True):
        assert one.entropy == pytest.approx(other.entropy, rel=1e-5)
