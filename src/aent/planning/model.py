"""The sizes of a model that decide memory and time, counted without its weights."""

from dataclasses import dataclass
from typing import Any

from aent.errors import InputError
from aent.planning.constants import CONFIGS


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of a dense decoder with grouped-query attention and a gated MLP (Qwen2, Qwen3, Llama, ...)."""

    parameters: int
    """All parameters; a tied output layer counts once."""
    layer: int
    """Weights of the linear layers of one block."""
    head: int
    """Weights of the output layer."""
    embeddings: int
    """Parameters of embeddings and output layer; tied ones count once."""
    adapter: int
    """Parameters of the LoRA adapter; 0 without one."""
    layers: int
    hidden: int
    queries: int
    """Number of heads times the width of a head."""
    keys: int
    """The same for keys, and for values."""
    heads: int
    intermediate: int

    @property
    def kv_bytes(self) -> int:
        """Bytes of KV cache per token in bfloat16: keys and values of every layer."""
        return 2 * 2 * self.layers * self.keys

    def body_flops(self, context: float) -> float:
        """FLOPs of a forward pass per token at a mean of `context` tokens before it, without output layer.

        ``2 layers (layer + 2 queries context)``: a product is a multiplication and an addition; the
        second term is scores and weighted values, of tokens before this one only.
        """
        return 2.0 * self.layers * (self.layer + 2 * self.queries * context)

    @property
    def head_flops(self) -> float:
        """FLOPs of the output layer per token, forward."""
        return 2.0 * self.head

    @property
    def saved_per_layer(self) -> int:
        """Numbers per token that one block keeps for the backward pass.

        ``8 hidden + 2 keys + 4 intermediate + heads + 2``, for heads that are together as wide as the
        model. Two norms keep their input, the normalized input, their result and one number. Attention keeps
        queries, keys, values, its output and one number per head. The MLP keeps its gate, the gate's
        activation, the other factor and the product.
        """
        return 8 * self.hidden + 2 * self.keys + 4 * self.intermediate + self.heads + 2


def load_config(name: str) -> Any:
    """Return transformers' configuration of a model: of a known shape, from a folder, or from the hub.

    Raises:
        InputError: if there is no such model.
    """
    from transformers import AutoConfig, Qwen2Config

    if name in CONFIGS:
        return Qwen2Config(**CONFIGS[name])
    try:
        return AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"no configuration of the model {name!r}: {reason} Give --model a folder with a config.json, a "
            f"hub id that can be reached, or one of {', '.join(CONFIGS)}, whose shapes are known"
        ) from error


def count(config: Any, rank: int = 0, targets: tuple[str, ...] = ()) -> Sizes:
    """Count a model on the meta device, where tensors have shapes but no memory.

    Args:
        config: the configuration of `load_config`.
        rank: rank of a LoRA adapter; 0 for none.
        targets: the linear layers with an adapter, by the ends of their names.

    Raises:
        InputError: for a model that is not a dense decoder with a linear output layer, or that has none of
            the layers with an adapter.
    """
    import torch
    from transformers import AutoModelForCausalLM

    kind = getattr(config, "model_type", type(config).__name__)
    if any(getattr(config, name, None) for name in ("num_experts", "num_local_experts", "n_routed_experts")):
        raise InputError(f"a {kind} model has experts, which the estimate does not know; give a dense model")
    try:
        with torch.device("meta"):
            model: Any = AutoModelForCausalLM.from_config(config)
        hidden, heads, layers = config.hidden_size, config.num_attention_heads, config.num_hidden_layers
        intermediate = config.intermediate_size
    except (ValueError, AttributeError) as error:
        raise InputError(
            f"a {kind} model is not one the estimate knows ({error}); give a dense causal language model"
        ) from error
    head, inputs = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    linear = {n: m for n, m in model.base_model.named_modules() if isinstance(m, torch.nn.Linear)}
    adapted = [m for n, m in linear.items() if rank and n.endswith(targets)]
    if rank and not adapted:
        raise InputError(
            f"a {kind} model has no linear layer whose name ends in {' or '.join(targets)}, so the size of "
            "the adapter is unknown; give --lora_target_modules, for instance all-linear"
        )
    width = getattr(config, "head_dim", None) or hidden // heads
    return Sizes(
        parameters=model.num_parameters(),
        layer=sum(m.weight.numel() for m in linear.values()) // layers,
        head=head.numel(),
        embeddings=inputs.numel() + (0 if head is inputs else head.numel()),
        adapter=sum(rank * (m.in_features + m.out_features) for m in adapted),
        layers=layers,
        hidden=hidden,
        queries=heads * width,
        keys=(getattr(config, "num_key_value_heads", None) or heads) * width,
        heads=heads,
        intermediate=intermediate,
    )
