"""Scoring completions on a CPU without repeating their prompts.

TRL scores every completion together with its prompt, so a prompt with eight completions goes through the
network eight times, and on a CPU the output layer is applied to the positions of the prompt as well. For
large vocabularies aent does each once, or not at all. Values and gradients are the same up to rounding.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from jaxtyping import Int
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer
from trl.trainer import utils

from aent.policies.drawing import LARGE
from aent.policies.prefill import distinct_rows
from aent.trl.host import COMPACT

INPUTS = {"input_ids", "attention_mask", "use_cache"}
LAYERS = (DynamicLayer, DynamicSlidingWindowLayer)
"""Caches of keys and values, through which gradients flow."""


@contextmanager
def shared_scoring(model: Any, prompt: int) -> Iterator[None]:
    """Let forward passes of the fused head read the first `prompt` columns once for each distinct prompt.

    The keys and values of a prompt are computed once, with gradient, and its completions attend to them. Only
    labelled positions reach the output layer. For models on a CPU with more than
    `aent.policies.drawing.LARGE` tokens; smaller ones go the ordinary way, and so do passes with other inputs
    than token ids and their mask, with dropout, or with gradient checkpointing.
    """
    causal = getattr(model, "get_base_model", lambda: model)()
    if causal.device.type != "cpu" or causal.config.get_text_config().vocab_size <= LARGE:
        yield
        return
    backbone = causal.base_model
    whole = backbone.forward
    repeatable = not (backbone.training and any(map(_changes_in_training, backbone.modules())))

    def forward(*args: Any, **inputs: Any) -> Any:
        cache = DynamicCache(config=backbone.config)
        plain = not args and set(inputs) == INPUTS and not inputs["use_cache"]
        if not (plain and repeatable and all(type(layer) in LAYERS for layer in cache.layers)):
            return whole(*args, **inputs)
        return _in_two_parts(whole, inputs["input_ids"], inputs["attention_mask"], prompt, cache)

    with patch.object(backbone, "forward", forward), patch.object(utils, COMPACT, lambda device: True):
        yield


def _changes_in_training(module: Any) -> bool:
    """Whether a module draws random numbers in training, or recomputes activations and so keeps no cache."""
    dropout = module.p if isinstance(module, nn.Dropout) else getattr(module, "attention_dropout", 0.0)
    return dropout > 0 or getattr(module, "gradient_checkpointing", False)


def _in_two_parts(
    forward: Any,
    ids: Int[Tensor, "rows length"],
    mask: Int[Tensor, "rows length"],
    prompt: int,
    cache: Any,
) -> Any:
    """Return the backbone's output for whole rows: each distinct prompt first, then all completions."""
    first, row = distinct_rows(ids[:, :prompt], mask[:, :prompt])
    if len(first) == len(ids):
        return forward(input_ids=ids, attention_mask=mask, use_cache=False)
    cached = {"past_key_values": cache, "use_cache": True}
    prompts = forward(input_ids=ids[first, :prompt], attention_mask=mask[first, :prompt], **cached)
    cache.reorder_cache(row)
    output = forward(input_ids=ids[:, prompt:], attention_mask=mask, **cached)
    output.last_hidden_state = torch.cat([prompts.last_hidden_state[row], output.last_hidden_state], 1)
    output.past_key_values = None
    return output
