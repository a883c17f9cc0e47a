"""The formulas of `aent plan` against torch: parameters, FLOPs, and what one training step keeps in memory.

Counts, not seconds: a small Qwen2 runs one step on the CPU in float32, and torch counts its FLOPs and the
bytes that autograd, gradients and AdamW hold. Parameters are those of the real models, on the meta device.

    python benchmarks/speed/plan.py
"""

from collections.abc import Callable
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen2Config, Qwen2ForCausalLM

from aent.planning import memory
from aent.planning.constants import CONFIGS
from aent.planning.model import count, load_config
from aent.records import versions

BATCH, LENGTH = 4, 128
TOKENS = BATCH * LENGTH
SHAPE = {
    "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 2,
    "intermediate_size": 1024, "vocab_size": 4096,
}  # fmt: skip


def kept_bytes(model: Any, run: Callable[[], Any]) -> int:
    """Bytes of floating point numbers that autograd keeps for backward, weights left out."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        where = tensor.untyped_storage().data_ptr()
        if where not in weights and tensor.is_floating_point():
            kept[where] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def step() -> list[tuple[str, float, float]]:
    """One training step: what the formulas say, and what torch counts."""
    torch.manual_seed(0)
    config = Qwen2Config(**SHAPE, tie_word_embeddings=False, attn_implementation="eager")
    model: Any = Qwen2ForCausalLM(config)
    sizes, ids = count(config), torch.randint(0, SHAPE["vocab_size"], (BATCH, LENGTH))
    with FlopCounterMode(display=False) as forward:
        loss = model(ids).logits.logsumexp(-1).mean()
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    optimizer = torch.optim.AdamW(model.parameters())
    optimizer.step()
    moments = [t for state in optimizer.state.values() for name, t in state.items() if name != "step"]
    per_token = sizes.body_flops(LENGTH / 2) + sizes.head_flops
    model.set_attn_implementation("sdpa")
    whole = kept_bytes(model, lambda: model.model(ids))
    model.train().gradient_checkpointing_enable()
    thin = kept_bytes(model, lambda: model.model(ids))
    block = 4.0 * TOKENS * sizes.saved_per_layer
    say = memory.saved_per_token
    return [
        ("FLOPs, forward", TOKENS * per_token, forward.get_total_flops()),
        ("FLOPs, forward and backward", 3 * TOKENS * per_token,
         forward.get_total_flops() + backward.get_total_flops()),
        ("bytes of gradients", 4.0 * sizes.parameters, sum(p.grad.nbytes for p in model.parameters())),
        ("bytes of AdamW's moments", 8.0 * sizes.parameters, sum(t.nbytes for t in moments)),
        ("bytes of activations", 4 * TOKENS * say(sizes, checkpointing=False), whole),
        ("the same, checkpointing", 4 * TOKENS * say(sizes, checkpointing=True) - block, thin),
    ]  # fmt: skip


def parameters() -> list[tuple[str, float, float]]:
    """Parameters: the formula written out, and the real class on the meta device."""
    rows = []
    for name, given in CONFIGS.items():
        d, layers = given["hidden_size"], given["num_hidden_layers"]
        kv = given["num_key_value_heads"] * d // given["num_attention_heads"]
        block = 2 * d * d + 2 * d * kv + 3 * d * given["intermediate_size"] + d + 2 * kv + 2 * d
        tables = (1 if given["tie_word_embeddings"] else 2) * given["vocab_size"] * d
        rows.append((name, layers * block + d + tables, count(load_config(name)).parameters))
    return rows


def main() -> None:
    table = Table("", "formula", "torch", "formula / torch", caption=str(dict(versions())))
    for name, formula, counted in (*parameters(), *step()):
        table.add_row(name, f"{formula:,.0f}", f"{counted:,.0f}", f"{formula / counted:.3f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
