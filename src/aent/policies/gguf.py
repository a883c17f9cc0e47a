"""An ordinary transformers folder from a GGUF file, checked against what the file says about itself."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aent.errors import InputError
from aent.policies.gguf_checks import check_model, check_readable, check_tokenizer, closing_token

ONE_DIGIT_AT_A_TIME = ("smollm", "starcoder", "refact")
"""Pre-tokenizers that split every digit off before they split like GPT-2; transformers loses the digits."""

_UNREAD = {"qwen3": {"attention.key_length": "head_dim"}}
"""Keys of the metadata, behind the architecture, that transformers passes over; names in the config."""

_PROBE = "The sun rises in the east and sets in the west, and the moon follows it across the night sky."


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import wrote."""

    folder: Path
    parameters: int
    """Number of weights; a tied head counts once."""
    chat: bool
    """Whether the file has a chat template."""
    end: str
    """The token that ends an answer."""
    perplexity: float
    """Perplexity per token of a plain English sentence: a weight in the wrong place shows here."""


def import_gguf(file: Path, folder: Path) -> Imported:
    """Write a model in GGUF format as a transformers folder in float32, quantized weights dequantized.

    The tokenizer, the chat template, the special tokens and the shape of the network must agree with the
    metadata of the file once they are read back from disk; see `aent.policies.gguf_checks`. Where the chat
    template closes an assistant's turn with another token than the file's end-of-text token, that token
    becomes the one that ends an answer, and generation stops at either.

    Raises:
        InputError: if the file is not a GGUF file, or the folder is not empty, or the file has a feature
            that cannot be carried over with certainty. Nothing is written then.
        ImportError: without the package ``gguf`` (the extra ``gguf``).
    """
    if not file.is_file():
        raise InputError(f"{file} is not a file; give the path of a .gguf file")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} already holds something; give a folder that is new or empty")
    if not folder.absolute().parent.is_dir():
        raise InputError(f"{folder.absolute().parent} does not exist; create it first")
    facts = read_facts(file)
    check_readable(facts)
    draft = Path(tempfile.mkdtemp(dir=folder.absolute().parent, prefix=f".{folder.name}-"))
    try:
        imported = _write(file, facts, draft, folder)
        if folder.exists():
            folder.rmdir()
        draft.chmod(0o755)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return imported


def read_facts(file: Path) -> dict[str, Any]:
    """Return the metadata of a GGUF file by key, and its tensors' shapes by name under ``tensors``.

    Raises:
        InputError: if it is not a GGUF file.
        ImportError: without the package ``gguf``.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(file)
        facts: dict[str, Any] = {name: field.contents() for name, field in reader.fields.items()}
    except (ValueError, IndexError, KeyError) as error:
        raise InputError(f"{file} is not a whole GGUF file: {error}") from error
    facts["tensors"] = {tensor.name: [int(n) for n in tensor.shape] for tensor in reader.tensors}
    return facts


def _write(file: Path, facts: Mapping[str, Any], draft: Path, folder: Path) -> Imported:
    """Write model and tokenizer to `draft`, read them back, and check them."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(**where)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            **where, **_unread(facts), dtype=torch.float32, output_loading_info=True
        )
    except (ValueError, NotImplementedError, KeyError, RuntimeError) as error:  # RuntimeError: other shapes
        raise InputError(f"transformers cannot read {file}: {error}") from error
    model, loading = loaded
    missing = sorted(loading["missing_keys"])
    if missing:
        raise InputError(f"{file} has no weights for {', '.join(missing[:3])} ({len(missing)} in all)")
    _drop_surplus(tokenizer, len(facts["tokenizer.ggml.tokens"]))
    _mend_digits(tokenizer, facts)
    tokenizer.padding_side = "left"
    end = closing_token(tokenizer)
    ends = {tokenizer.eos_token_id}
    if end is not None:
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)
        ends.add(end)
    tokenizer.save_pretrained(draft)
    _plain(model, sorted(ends)).save_pretrained(draft)
    saved: Any = AutoTokenizer.from_pretrained(draft)
    check_tokenizer(saved, facts)
    restored: Any = AutoModelForCausalLM.from_pretrained(draft)
    check_model(restored, facts)
    return Imported(
        folder=folder,
        parameters=sum(p.numel() for p in restored.parameters()),
        chat=saved.chat_template is not None,
        end=saved.eos_token,
        perplexity=_perplexity(restored, saved),
    )


def _unread(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sizes that transformers would replace by the defaults of the architecture."""
    architecture = facts["general.architecture"]
    found = {ours: facts.get(f"{architecture}.{key}") for key, ours in _UNREAD.get(architecture, {}).items()}
    return {name: size for name, size in found.items() if size is not None}


def _drop_surplus(tokenizer: Any, count: int) -> None:
    """Take away what transformers appends to the vocabulary: GPT-2's end token where the file has none."""
    from tokenizers import Tokenizer

    parts = json.loads(tokenizer.backend_tokenizer.to_str())
    kept = [token for token in parts["added_tokens"] if token["id"] < count]
    if len(kept) < len(parts["added_tokens"]):
        tokenizer._tokenizer = Tokenizer.from_str(json.dumps({**parts, "added_tokens": kept}))


def _mend_digits(tokenizer: Any, facts: Mapping[str, Any]) -> None:
    from tokenizers import pre_tokenizers

    if facts.get("tokenizer.ggml.pre") in ONE_DIGIT_AT_A_TIME:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )


def _plain(model: Any, ends: list[int]) -> Any:
    """Return the model without the marks of its quantized origin, with which it would not save."""
    from transformers import GenerationConfig

    config = type(model.config).from_dict(
        {
            key: value
            for key, value in model.config.to_dict().items()
            if key not in ("quantization_config", "_model_name_or_path")
        }
    )
    config.eos_token_id = ends if len(ends) > 1 else ends[0]
    plain = type(model)(config)
    plain.load_state_dict(model.state_dict(), strict=True)
    plain.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id
    )
    return plain


def _perplexity(model: Any, tokenizer: Any) -> float:
    import torch

    tokens = tokenizer(_PROBE, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return model(input_ids=tokens, labels=tokens).loss.exp().item()
