"""Tiny Gemmas in GGUF, as llama.cpp would write them, come back with the same logits and the same tokens."""

import pytest
import torch

from aent.policies.gguf import import_gguf

gguf = pytest.importorskip("gguf", reason="the extra gguf is not installed")

CONTROL = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"]
PIECES = ["▁", "o", "n", "e", "1", "2", "on", "one", "▁one"]
TOKENS = [*CONTROL, *(f"<0x{byte:02X}>" for byte in range(256)), *PIECES]
TYPES = [3, 3, 3, 2, 3, 3, 3, *[6] * 256, *[1] * len(PIECES)]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ m.role }} {{ m.content }}<end_of_turn>"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model{% endif %}"
)
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm",
}  # fmt: skip


def make(family):
    from transformers import Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig

    settings = {
        "vocab_size": len(TOKENS), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 256, "query_pre_attn_scalar": 256,
        "sliding_window": 8, "max_position_embeddings": 64, "initializer_range": 0.2,
    }  # fmt: skip
    torch.manual_seed(0)
    if family == "gemma2":
        network = Gemma2ForCausalLM(Gemma2Config(**settings))
    else:
        network = Gemma3ForCausalLM(Gemma3TextConfig(**settings))
    for name, weight in network.named_parameters():
        if name.endswith("norm.weight"):
            weight.data.normal_(std=0.1)
    return network.eval()


def write_gguf(file, network, family):
    config = network.config
    writer = gguf.GGUFWriter(file, family)
    writer.add_context_length(64)
    writer.add_block_count(2)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(48)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_key_length(256)
    writer.add_value_length(256)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_sliding_window(8)
    if family == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    else:
        writer.add_rope_freq_base(config.rope_parameters["full_attention"]["rope_theta"])
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([-float(index) for index in range(len(TOKENS))])
    writer.add_token_types(TYPES)
    writer.add_pad_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_unk_token_id(3)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)
    for name, weight in network.state_dict().items():
        if name != "lm_head.weight":  # it is the embeddings
            # llama.cpp stores what a norm multiplies by; Gemma's weights are 1 less
            writer.add_tensor(named(name), (weight + 1 if name.endswith("norm.weight") else weight).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def named(name):
    """llama.cpp's name of a weight."""
    whole = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if name in whole:
        return whole[name]
    layer, _, rest = name.removeprefix("model.layers.").partition(".")
    return f"blk.{layer}.{NAMES[rest.removesuffix('.weight')]}.weight"


@pytest.mark.parametrize("family", ["gemma2", "gemma3"])
def test_a_gemma_comes_back(family, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network = make(family)
    imported = import_gguf(write_gguf(tmp_path / "tiny.gguf", network, family), tmp_path / "tiny")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "tiny")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tiny")
    ids = torch.arange(4, 40)[None]
    torch.testing.assert_close(model(input_ids=ids).logits, network(input_ids=ids).logits)
    pieces = tokenizer.convert_ids_to_tokens(tokenizer.encode("one 12 one"))
    assert pieces == ["<bos>", "one", "▁", "1", "2", "▁one"]
    message = [{"role": "user", "content": "one"}]
    prompt = tokenizer.apply_chat_template(message, add_generation_prompt=True, return_dict=False)
    assert tokenizer.convert_ids_to_tokens(prompt).count("<bos>") == 1
    assert (imported.end, tokenizer.pad_token, model.generation_config.eos_token_id) == (
        "<end_of_turn>",
        "<pad>",
        [1, 6],
    )
