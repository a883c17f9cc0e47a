"""The counts against what torch, transformers and PEFT say of the same model."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import DynamicCache, LlamaConfig, Qwen2Config, Qwen2MoeConfig

from aent.errors import InputError
from aent.planning.model import count, load_config


def test_flops_are_those_that_torch_counts(ids, tiny):
    """Backward costs twice forward: 6 N D in all. In its eager form, attention counts the masked half too."""
    model, sizes = tiny(attn_implementation="eager")
    with FlopCounterMode(display=False) as forward:
        loss = model(ids).logits.logsumexp(-1).sum()
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    every_pair = sizes.body_flops(ids.size(1))
    assert forward.get_total_flops() == ids.numel() * (every_pair + sizes.head_flops)
    assert backward.get_total_flops() == 2 * forward.get_total_flops()
    weights = sizes.layers * sizes.layer + sizes.head
    assert sizes.body_flops(0) + sizes.head_flops == 2 * weights


def test_the_adapter_is_the_one_that_peft_makes(tiny, shape):
    peft = pytest.importorskip("peft")
    targets = ("q_proj", "down_proj")
    model, _ = tiny()
    wrapped = peft.get_peft_model(model, peft.LoraConfig(r=3, target_modules=list(targets)))
    trained = sum(p.numel() for p in wrapped.parameters() if p.requires_grad)
    assert count(Qwen2Config(**shape), 3, targets).adapter == trained


def test_an_adapter_of_no_layer_is_refused(shape):
    """Without it the plan would be that of full training."""
    with pytest.raises(
        InputError, match=r"qwen2 model has no linear layer .* in qkv_proj, .*--lora_target_modules"
    ):
        count(Qwen2Config(**shape), 3, ("qkv_proj",))


def test_cache_of_a_token_is_keys_and_values_in_bfloat16(tiny):
    model, sizes = tiny()
    cache = model.to(torch.bfloat16)(
        torch.randint(0, 500, (1, 5)), past_key_values=DynamicCache()
    ).past_key_values
    stored = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert stored == 5 * sizes.kv_bytes


def test_a_models_folder_is_read(tmp_path, tiny, shape):
    model, sizes = tiny()
    model.config.save_pretrained(tmp_path)
    assert count(load_config(str(tmp_path))) == sizes
    llama = count(LlamaConfig(**shape))
    assert llama.layer == sizes.layer
    assert llama.parameters == sizes.parameters - 3 * (64 + 2 * 32)  # without biases


@pytest.mark.parametrize(
    ("config", "said"),
    [(lambda: load_config("no/such-model"), "'no/such-model'"), (lambda: count(Qwen2MoeConfig()), "experts")],
)
def test_what_it_does_not_know_is_refused(config, said):
    with pytest.raises(InputError, match=said):
        config()
