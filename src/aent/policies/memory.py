"""The memory that sampling a batch of answers takes, before it starts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from aent.errors import InputError
from aent.policies.sampling import Prompt, Sampling, encode

_COPIES_OF_LOGITS = 6
"""Float32 arrays of the size of a batch's logits that drawing a token holds: logits, scores, probabilities,
and for top-p and top-k the sorted ones with their indices."""


class Memory(NamedTuple):
    """Bytes of the weights, which are loaded, and of a batch of answers, which is to come."""

    weights: int
    batch: int
    free: int
    """What was free with the weights loaded."""

    def __str__(self) -> str:
        gib = [number / 2**30 for number in self]
        return "{:.1f} GiB of weights, {:.1f} GiB for a batch of answers, {:.1f} GiB free".format(*gib)


def generation_memory(
    policy: Any, tokenizer: Any, prompts: Sequence[Prompt], sampling: Sampling
) -> Memory | None:
    """Estimate the memory of a batch: its key-value cache, its logits, and one layer of its prompts.

    ``cache = 2 layers heads_kv head_dim (prompt + max_tokens)`` numbers per answer, in the dtype of the
    weights; no allocator's overhead. None for a model whose config does not have these sizes.

    Raises:
        InputError: if it is more than what is free; the message says which batch size fits.
    """
    config = policy.config.get_text_config()
    heads = getattr(config, "num_attention_heads", None)
    if heads is None or getattr(config, "hidden_size", None) is None:
        return None
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    per_token = 2 * config.num_hidden_layers * (getattr(config, "num_key_value_heads", None) or heads) * width
    longest = max(len(encode(tokenizer, prompt)) for prompt in prompts)
    answers = min(sampling.batch_size, len(prompts) * sampling.samples)
    layer = longest * (8 * config.hidden_size + 3 * getattr(config, "intermediate_size", config.hidden_size))
    each = (per_token * (longest + sampling.max_tokens) + layer) * policy.dtype.itemsize
    each += 4 * _COPIES_OF_LOGITS * config.vocab_size
    weights = sum(p.numel() * p.element_size() for p in policy.parameters())
    memory = Memory(weights, answers * each, _free(policy.device))
    if memory.batch > memory.free:
        fits = memory.free // each
        advice = (
            f"give --batch-size {fits}, or fewer" if fits else "there is no room for even one answer; give"
        )
        raise InputError(
            f"a batch of {answers} answers does not fit: {memory}; {advice} --max-tokens or a --dtype of "
            "half the size (bfloat16)"
        )
    return memory


def _free(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    import psutil

    return psutil.virtual_memory().available
