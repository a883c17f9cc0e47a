"""Reading equal prompts once where several answers to each are generated at the same time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from aent.policies.drawing import LARGE


def distinct_rows(
    *columns: Int[Tensor, "rows _"],
) -> tuple[Int[Tensor, " distinct"], Int[Tensor, " rows"]]:
    """Return the index of one row of each kind, and for every row which kind it is."""
    beside = torch.cat([part.long() for part in columns], 1).numpy()
    _, first, kind = np.unique(beside, axis=0, return_index=True, return_inverse=True)
    return torch.from_numpy(first), torch.from_numpy(kind.reshape(-1))


@contextmanager
def shared_prompts(model: Any) -> Iterator[None]:
    """Let the first forward pass of each generation read every distinct prompt once.

    Its cache and its logits are then copied to all rows with that prompt, so the probabilities are the same
    up to rounding. For models on a CPU with more than `aent.policies.drawing.LARGE` tokens. Smaller ones,
    and passes with inputs that are not one row per prompt, go the ordinary way.
    """
    kinds: list[Tensor] = []

    def distinct(_: Any, args: tuple[Any, ...], inputs: dict[str, Any]) -> Any:
        if args or not _reads_prompts(inputs):
            return None
        parts = [inputs.get(name) for name in ("input_ids", "attention_mask")]  # no mask if nothing is padded
        first, kind = distinct_rows(*(part for part in parts if part is not None))
        if len(first) == len(kind):
            return None
        kinds.append(kind)
        return args, {
            name: value[first] if isinstance(value, Tensor) else value for name, value in inputs.items()
        }

    def repeated(_: Any, args: tuple[Any, ...], output: Any) -> None:
        if kinds:
            kind = kinds.pop()
            output.past_key_values.reorder_cache(kind)
            output.logits = output.logits[kind]

    causal = getattr(model, "get_base_model", lambda: model)()
    if causal.device.type != "cpu" or causal.config.get_text_config().vocab_size <= LARGE:
        yield
        return
    before = causal.register_forward_pre_hook(distinct, with_kwargs=True)
    after = causal.register_forward_hook(repeated)
    try:
        yield
    finally:
        before.remove()
        after.remove()


def _reads_prompts(inputs: Mapping[str, Any]) -> bool:
    """Whether this is the first pass of a generation, with every tensor one row per prompt."""
    from transformers import DynamicCache

    cache, ids = inputs.get("past_key_values"), inputs.get("input_ids")
    if type(cache) is not DynamicCache or ids is None or cache.get_seq_length() > 0:
        return False
    tensors = [value for value in inputs.values() if isinstance(value, Tensor)]
    return all(x.dim() == 2 and len(x) == len(ids) for x in tensors)
