"""Whether a model and a tokenizer are those that the metadata of a GGUF file describes.

What a file says is compared with what was written; what cannot be compared is refused.
"""

from collections.abc import Mapping
from math import isclose, prod
from typing import Any

from aent.errors import InputError, unknown

ARCHITECTURES = ("gemma2", "gemma3", "llama", "qwen2", "qwen3")
"""Dense decoders whose weights transformers reads and whose shape `check_model` can verify."""

PRE_TOKENIZERS = ("gpt-2", "llama-bpe", "llama3", "qwen2", "refact", "smollm", "starcoder", "tekken")
"""Ways to split text before byte-level BPE that are known; any other would split numbers and words anew."""

WITH_DIGITS_APART = ("qwen2", "refact", "smollm", "starcoder", "tekken")

_SENTENCEPIECE = "llama"
_CONTROL = 3
_SIZES = {
    "block_count": "num_hidden_layers",
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.sliding_window": "sliding_window",
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
}
"""Keys of the metadata, behind the architecture, and the names in the config."""

_SPECIAL = {"bos": "bos", "eos": "eos", "unknown": "unk", "padding": "pad"}


def check_readable(facts: Mapping[str, Any]) -> None:
    """Refuse a file with a feature that would be carried over wrongly, or that cannot be checked.

    Raises:
        InputError: naming the key of the metadata, or the tensor.
    """
    architecture = facts.get("general.architecture")
    if architecture not in ARCHITECTURES:
        raise unknown("architecture", str(architecture), ARCHITECTURES, _OTHERWISE)
    kind, split = facts.get("tokenizer.ggml.model"), facts.get("tokenizer.ggml.pre")
    if kind not in ("gpt2", _SENTENCEPIECE):
        raise unknown("tokenizer.ggml.model", str(kind), ("gpt2", _SENTENCEPIECE), _OTHERWISE)
    if kind == "gpt2" and split not in PRE_TOKENIZERS:
        raise unknown("tokenizer.ggml.pre", str(split), PRE_TOKENIZERS, _OTHERWISE)
    if facts.get("tokenizer.ggml.eos_token_id") is None:
        raise InputError(f"the file names no end-of-text token (tokenizer.ggml.eos_token_id). {_OTHERWISE}")
    scaled = [key for key in facts if ".rope.scaling." in key]
    scaled += [name for name in facts["tensors"] if name.startswith("rope_")]
    if scaled and facts.get(f"{architecture}.rope.scaling.type") != "none":
        raise InputError(f"the file scales its positions ({', '.join(scaled)}). {_OTHERWISE}")


_OTHERWISE = "Take the model's own transformers folder, from the hub or elsewhere, instead of a GGUF file."


def check_tokenizer(tokenizer: Any, facts: Mapping[str, Any]) -> None:
    """Check a tokenizer that was read back from disk: vocabulary, special tokens, splitting, chat template.

    Raises:
        InputError: for the first disagreement with the metadata.
    """
    tokens = facts["tokenizer.ggml.tokens"]
    if len(tokenizer) != len(tokens):
        raise InputError(f"the tokenizer has {len(tokenizer)} tokens and the file {len(tokens)}")
    kinds = facts.get("tokenizer.ggml.token_type") or [1] * len(tokens)
    for index, (token, kind) in enumerate(zip(tokens, kinds, strict=True)):
        ours = tokenizer.convert_ids_to_tokens(index)
        if ours != token and ours != token.replace(" ", "▁"):
            raise InputError(f"token {index} is {ours!r} in the tokenizer and {token!r} in the file")
        if kind == _CONTROL and tokenizer.encode(token, add_special_tokens=False) != [index]:
            raise InputError(f"the control token {token!r} is split by the tokenizer. {_OTHERWISE}")
    for theirs, ours in _SPECIAL.items():
        due, got = facts.get(f"tokenizer.ggml.{theirs}_token_id"), getattr(tokenizer, f"{ours}_token_id")
        closing = closing_token(tokenizer) if ours == "eos" else None
        if due is not None and got not in (due, closing):
            raise InputError(f"the {theirs} token is {got} in the tokenizer and {due} in the file")
    if tokenizer.chat_template != facts.get("tokenizer.chat_template"):
        raise InputError(f"the chat template was not carried over. {_OTHERWISE}")
    _check_text(tokenizer, facts)


def _check_text(tokenizer: Any, facts: Mapping[str, Any]) -> None:
    """Check how text is split and put together again, and the token before it."""
    sentencepiece = facts["tokenizer.ggml.model"] == _SENTENCEPIECE
    begins = facts.get("tokenizer.ggml.add_bos_token", sentencepiece)
    with_start = tokenizer.encode("one") != tokenizer.encode("one", add_special_tokens=False)
    if with_start != begins:
        raise InputError(
            f"the tokenizer {'adds' if with_start else 'omits'} the start token, unlike the file"
        )
    prefix = facts.get("tokenizer.ggml.add_space_prefix", True)
    if sentencepiece and tokenizer.tokenize("one")[0].startswith("▁") != prefix:
        raise InputError(
            f"the tokenizer {'omits' if prefix else 'adds'} the space before a text, unlike the file. "
            f"{_OTHERWISE}"
        )
    text = "Tom's 3 boxes hold 1207 eggs (naïve: 12 * 7 = 84)."
    ids = tokenizer.encode(text, add_special_tokens=False)
    back = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    if back.strip() != text and tokenizer.unk_token_id not in ids:
        raise InputError(f"the tokenizer turns {text!r} into {back!r}. {_OTHERWISE}")
    one_each = facts.get("tokenizer.ggml.pre") in WITH_DIGITS_APART and not sentencepiece
    digits = len(tokenizer.encode("1207", add_special_tokens=False))
    if one_each and digits != 4:
        raise InputError(f"the tokenizer makes {digits} tokens of 1207, not one of each digit. {_OTHERWISE}")


def check_model(model: Any, facts: Mapping[str, Any]) -> None:
    """Check a model that was read back from disk: sizes, rotary base, tied head, and the number of weights.

    Raises:
        InputError: for the first disagreement with the metadata.
    """
    architecture, config = facts["general.architecture"], model.config
    head = facts.get(f"{architecture}.attention.key_length") or (
        facts[f"{architecture}.embedding_length"] // facts[f"{architecture}.attention.head_count"]
    )
    due = {ours: facts.get(f"{architecture}.{theirs}") for theirs, ours in _SIZES.items()}
    due |= {
        "head_dim": head,
        "vocab_size": len(facts["tokenizer.ggml.tokens"]),
        "tie_word_embeddings": "output.weight" not in facts["tensors"],
    }
    if architecture.startswith("gemma"):
        due["query_pre_attn_scalar"] = head  # the file does not have it, and llama.cpp takes this
    for name, number in due.items():
        ours = getattr(config, name, head if name == "head_dim" else None)
        if number is not None and not (ours is not None and isclose(ours, number, rel_tol=1e-6)):
            raise InputError(f"{name} is {ours} in the model and {number} in the file. {_OTHERWISE}")
    theta = facts.get(f"{architecture}.rope.freq_base")
    if theta is not None and theta not in _rotary_bases(config):
        raise InputError(f"the rotary base is {_rotary_bases(config)}, and {theta} in the file. {_OTHERWISE}")
    weights = sum(p.numel() for p in model.parameters())
    stored = sum(prod(shape) for shape in facts["tensors"].values())
    if weights != stored:
        raise InputError(f"the model has {weights:,} weights and the file {stored:,}. {_OTHERWISE}")


def _rotary_bases(config: Any) -> list[float]:
    """Return the base of the rotary embedding, or one per kind of layer."""
    parts = config.rope_parameters
    return [parts["rope_theta"]] if "rope_theta" in parts else [part["rope_theta"] for part in parts.values()]


def closing_token(tokenizer: Any) -> int | None:
    """Return the special token with which the chat template closes an assistant's turn, if any."""
    if tokenizer.chat_template is None:
        return None
    turns = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    ids = tokenizer.apply_chat_template(turns, return_dict=False)
    control = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    special = [index for index in ids if index in control]
    last = special[-1] if special else None
    opened = tokenizer.apply_chat_template(turns[:1], add_generation_prompt=True, return_dict=False)
    return last if ids.count(last) > opened.count(last) else None
