"""Prompts scored once, with the values and the gradients of scoring every row whole."""

from contextlib import nullcontext

import pytest
import tiny
import torch
import transformers as hf
from peft import LoraConfig, get_peft_model
from trl.trainer import utils

from aent.policies import prefill
from aent.trl import AEntGRPOConfig, AEntGRPOTrainer, shared
from aent.trl.shared import shared_scoring

PROMPT, WINDOW = 5, {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]}
SHAPE = {
    "vocab_size": 96, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 64,
    "initializer_range": 0.2, "eos_token_id": 1, "pad_token_id": 0, "bos_token_id": None,
}  # fmt: skip


def model_of(name, **changes):
    torch.manual_seed(0)
    kind = "Gemma3Text" if name == "Gemma3" else name
    config = getattr(hf, f"{kind}Config")(**{**SHAPE, **changes})
    return getattr(hf, f"{name}ForCausalLM")(config).double().train()


@pytest.fixture(autouse=True)
def _counts_as_large(monkeypatch):
    monkeypatch.setattr(shared, "LARGE", 32)


@pytest.fixture
def batch():
    """Two prompts of unequal length with three completions each, in turn, one of them shorter."""
    generator = torch.Generator().manual_seed(0)
    prompts = torch.tensor([[0, 0, 7, 8, 9], [5, 9, 11, 4, 6]] * 3)
    ids = torch.cat([prompts, torch.randint(2, 96, (6, 7), generator=generator)], 1)
    mask = torch.ones_like(ids)
    mask[ids == 0] = 0
    mask[2, 9:] = 0
    return ids, mask


def scored(model, batch, share=True):
    """Log-probabilities and entropies of the completions, all gradients, and the shape of every pass."""
    ids, mask = batch
    causal = getattr(model, "get_base_model", lambda: model)()
    if "fused_lm_head" not in causal.forward.__code__.co_varnames:
        utils.add_fused_lm_head(causal, outputs=("log_probs", "entropy"))
    labels = ids.masked_fill(mask == 0, -100)
    labels[:, :PROMPT] = -100
    passes = []
    handle = causal.model.layers[0].register_forward_pre_hook(
        lambda _, args: passes.append(tuple(args[0].shape[:2]))
    )
    model.zero_grad()
    with shared_scoring(model, PROMPT) if share else nullcontext():
        output = model(input_ids=ids, attention_mask=mask, labels=labels, fused_lm_head=True)
    handle.remove()
    weights = torch.linspace(-1, 2, output.log_probs.numel()).view_as(output.log_probs)
    ((output.log_probs + 0.3 * output.entropy) * weights).sum().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return (output.log_probs.detach(), output.entropy.detach()), gradients, passes


def apart(ours, due):
    """Largest relative distance of two gradients; the norms of these models compute in float32."""
    return max(((ours[name] - due[name]).norm() / due[name].norm()).item() for name in due)


@pytest.mark.parametrize("name", ["Llama", "Qwen3", "Gemma3"])
def test_values_and_gradients_are_those_of_whole_rows(batch, name):
    model = model_of(name, tie_word_embeddings=True, **(WINDOW if name == "Gemma3" else {}))
    values, gradients, passes = scored(model, batch, share=False)
    shared_values, shared_gradients, shared_passes = scored(model, batch)
    assert passes == [(6, 12)]
    assert shared_passes == [(2, 5), (6, 7)]
    torch.testing.assert_close(shared_values, values, rtol=1e-9, atol=1e-9)
    assert apart(shared_gradients, gradients) < 1e-6
    assert scored(model, batch, share=False)[2] == [(6, 12)]  # nothing is left behind


def test_adapters_learn_the_same(batch):
    lora = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False, lora_dropout=0.0)
    model = get_peft_model(model_of("Llama"), lora).train()
    values, gradients, _ = scored(model, batch, share=False)
    shared_values, shared_gradients, passes = scored(model, batch)
    assert passes == [(2, 5), (6, 7)]
    assert set(gradients) == {name for name in gradients if "lora" in name} != set()
    torch.testing.assert_close(shared_values, values, rtol=1e-9, atol=1e-9)
    assert apart(shared_gradients, gradients) < 1e-6


def test_what_cannot_be_shared_is_read_whole(batch, monkeypatch):
    ids, mask = batch
    distinct = torch.cat([torch.arange(6)[:, None] + 2, ids[:, 1:]], 1), mask
    assert scored(model_of("Llama"), distinct)[2] == [(6, 12)]
    assert scored(model_of("Llama", attention_dropout=0.1), batch)[2] == [(6, 12)]
    lora = LoraConfig(r=2, target_modules=["q_proj"], lora_dropout=0.1)
    assert scored(get_peft_model(model_of("Llama"), lora).train(), batch)[2] == [(6, 12)]
    recomputing = model_of("Llama")
    recomputing.gradient_checkpointing_enable()
    assert set(scored(recomputing, batch)[2]) == {(6, 12)}
    assert scored(model_of("Lfm2", layer_types=["conv", "full_attention"]), batch)[2] == [(6, 12)]
    monkeypatch.setattr(shared, "LARGE", 96)
    assert scored(model_of("Llama"), batch)[2] == [(6, 12)]


@pytest.mark.parametrize("method", ["none", tiny.MOVING], ids=["none", "aent"])
def test_training_is_the_same_up_to_rounding(build, options, monkeypatch, method):
    """Three steps with and without: rewards, losses, gradient norms, entropies and the coefficient."""

    def rows(large):
        monkeypatch.setattr(shared, "LARGE", large)
        monkeypatch.setattr(prefill, "LARGE", large)
        trainer = build(AEntGRPOTrainer, AEntGRPOConfig, options, method=method)
        trainer.train()
        return [
            {key: value for key, value in row.items() if "time" not in key and "runtime" not in key}
            for row in trainer.state.log_history[:3]
        ]

    for ours, due in zip(rows(32), rows(1 << 15), strict=True):
        assert ours == pytest.approx(due, rel=1e-4, abs=1e-6)
