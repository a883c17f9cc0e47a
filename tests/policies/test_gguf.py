"""A tiny model in GGUF, as llama.cpp would write it, comes back as it was; doubtful files are refused."""

import json

import pytest
import torch

from aent.errors import InputError
from aent.policies.gguf import import_gguf

gguf = pytest.importorskip("gguf", reason="the extra gguf is not installed")

CONTROL = ["<|endoftext|>", "<|user|>", "<|assistant|>", "<|stop|>"]
TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|stop|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def _tokens():
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return [*CONTROL, *bytes_to_unicode().values(), "on", "one", "12", "120"]


MERGES = ["o n", "on e", "1 2", "12 0"]


@pytest.fixture(scope="module")
def network():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(_tokens()),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        rope_theta=5000.0,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


def _interleaved(weight, heads):
    """The rows of a query or key projection in the order of llama.cpp: halves of a head alternate."""
    return weight.view(heads, 2, -1, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def _tensors(network, architecture):
    names = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
        "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    }  # fmt: skip
    state = network.state_dict()
    yield "token_embd.weight", state["model.embed_tokens.weight"]
    yield "output_norm.weight", state["model.norm.weight"]
    for layer in range(2):
        for theirs, ours in names.items():
            weight = state.get(f"model.layers.{layer}.{theirs}.weight")
            if weight is None:
                continue
            heads = {"attn_q": 4, "attn_k": 2}.get(ours) if architecture == "llama" else None
            yield f"blk.{layer}.{ours}.weight", weight if heads is None else _interleaved(weight, heads)


def _byte_level(writer, pre, tokens):
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(CONTROL) + [1] * (len(tokens) - len(CONTROL)))
    writer.add_token_merges(MERGES)
    writer.add_eos_token_id(0)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def _sentencepiece(writer, prefix):
    """As many tokens as `_tokens`, so that they fit the same network."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "o", "n", "e", "on"]
    assert len(tokens) == len(_tokens())
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(index) for index in range(len(tokens))])
    writer.add_token_types([2, 3, 3, *[6] * 256, *[1] * 5])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_space_prefix(prefix)


def write_gguf(file, network, *, pre="smollm", architecture="llama", tokens=None, vocabulary=None, extra=()):
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_context_length(64)
    writer.add_block_count(2)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(48)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(8)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(5000.0)
    (vocabulary or _byte_level)(writer, pre, tokens or _tokens())
    for add in extra:
        add(writer)
    for name, weight in _tensors(network, architecture):
        writer.add_tensor(name, weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def test_the_network_and_the_tokenizer_come_back(network, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    imported = import_gguf(write_gguf(tmp_path / "tiny.gguf", network), tmp_path / "tiny")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "tiny")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tiny")
    ids = torch.arange(4, 40)[None]
    torch.testing.assert_close(model(input_ids=ids).logits, network(input_ids=ids).logits)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    # Merges apply to letters; digits stand alone although the vocabulary has "12" and "120".
    pieces = [tokenizer.decode([i]) for i in tokenizer.encode("one 120")]
    assert pieces == ["one", " ", "1", "2", "0"]
    assert imported.parameters == sum(p.numel() for p in network.parameters())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tiny", "tiny.gguf"]


def test_an_answer_ends_with_what_closes_a_turn(network, tmp_path):
    from transformers import AutoTokenizer

    imported = import_gguf(write_gguf(tmp_path / "tiny.gguf", network), tmp_path / "tiny")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tiny")
    # The file says <|endoftext|> (0); its chat template closes a turn with <|stop|> (3).
    assert (imported.end, tokenizer.eos_token, tokenizer.pad_token) == (
        "<|stop|>",
        "<|stop|>",
        "<|endoftext|>",
    )
    settings = json.loads((tmp_path / "tiny/generation_config.json").read_text())
    assert settings["eos_token_id"] == [0, 3]


def test_an_end_token_of_another_name_than_that_of_gpt_2(network, tmp_path):
    from transformers import AutoTokenizer

    tokens = ["<|end_of_text|>", *_tokens()[1:]]
    file = write_gguf(tmp_path / "tiny.gguf", network, pre="llama-bpe", tokens=tokens)
    import_gguf(file, tmp_path / "tiny")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tiny")
    # transformers appends <|endoftext|>, for which the network has no row.
    assert len(tokenizer) == network.config.vocab_size
    assert tokenizer.convert_tokens_to_ids("<|end_of_text|>") == 0
    assert [tokenizer.decode([i]) for i in tokenizer.encode("one 120")] == ["one", " ", "120"]


def test_heads_of_qwen3_that_are_not_128_wide(tmp_path):
    from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(_tokens()), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=16, max_position_embeddings=64,
        rope_theta=5000.0, rms_norm_eps=1e-5, tie_word_embeddings=True,
    )  # fmt: skip
    network = Qwen3ForCausalLM(config)
    width = [lambda writer: writer.add_key_length(16)]
    file = write_gguf(tmp_path / "tiny.gguf", network, pre="qwen2", architecture="qwen3", extra=width)
    import_gguf(file, tmp_path / "tiny")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "tiny")
    ids = torch.arange(4, 40)[None]
    torch.testing.assert_close(model(input_ids=ids).logits, network(input_ids=ids).logits)


def test_a_space_before_a_text_that_the_file_does_not_want_is_refused(network, tmp_path):
    def vocabulary(prefix):
        return lambda writer, *_: _sentencepiece(writer, prefix)

    file = write_gguf(tmp_path / "tiny.gguf", network, vocabulary=vocabulary(True))
    assert import_gguf(file, tmp_path / "with").end == "</s>"
    file = write_gguf(tmp_path / "tiny.gguf", network, vocabulary=vocabulary(False))
    with pytest.raises(InputError, match="adds the space before a text, unlike the file"):
        import_gguf(file, tmp_path / "without")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "mamba"}, "unknown architecture 'mamba'"),
        ({"pre": "viking"}, "unknown tokenizer.ggml.pre 'viking'"),
        ({"extra": [lambda w: w.add_rope_scaling_type(gguf.RopeScalingType.YARN)]}, "scales its positions"),
        ({"extra": [lambda w: w.add_key_length(16)]}, "head_dim is 8 in the model and 16"),
    ],
)
def test_what_is_not_certain_is_refused(options, message, network, tmp_path):
    file = write_gguf(tmp_path / "tiny.gguf", network, **options)
    with pytest.raises(InputError, match=message):
        import_gguf(file, tmp_path / "tiny")
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.gguf"]


def test_a_weight_that_the_model_has_no_place_for_is_refused(network, tmp_path):
    surplus = [lambda w: w.add_tensor("blk.0.attn_q_norm.weight", torch.ones(8).numpy())]
    file = write_gguf(tmp_path / "tiny.gguf", network, extra=surplus)
    with pytest.raises(InputError, match="weights and the file"):
        import_gguf(file, tmp_path / "tiny")


def test_other_files_and_full_folders_are_refused(network, tmp_path):
    (tmp_path / "text.gguf").write_text("not a model")
    with pytest.raises(InputError, match="not a whole GGUF file"):
        import_gguf(tmp_path / "text.gguf", tmp_path / "new")
    with pytest.raises(InputError, match="is not a file"):
        import_gguf(tmp_path / "none.gguf", tmp_path / "new")
    with pytest.raises(InputError, match="already holds something"):
        import_gguf(tmp_path / "text.gguf", tmp_path)
