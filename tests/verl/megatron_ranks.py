"""One of two tensor-parallel ranks on gloo: verl's hook of Megatron's engine, with ours over it.

``torchrun ... megatron_ranks.py FOLDER`` writes ``FOLDER/megatron-{rank}.pt``.
"""

import sys
import types
from pathlib import Path

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from verl.workers.engine.megatron.transformer_impl import MegatronEngineWithLMHead

from aent.ops import token_stats
from aent.subsets import Fraction, Full, TopK, TopP
from aent.verl.engine import Wanted, attach

VOCABULARY, PADDED, TOKENS = 1001, 1024, 48
SUBSETS = {"full": Full(), "fraction": Fraction(drop=0.33), "top-k": TopK(k=50), "top-p": TopP(mass=0.9)}
KEYWORDS = {
    "calculate_sum_pi_squared": False,
    "calculate_entropy": True,
    "distillation_use_topk": False,
    "distillation_only": False,
    "logits_processor_func": None,
    "batch": None,
    "data_format": "thd",
}


def engine(subset):
    """verl's engine without a model: its hook reads these two alone."""
    bare = MegatronEngineWithLMHead.__new__(MegatronEngineWithLMHead)
    bare.engine_config = types.SimpleNamespace(entropy_from_logits_with_chunking=False)
    bare.model_config = types.SimpleNamespace(hf_config=types.SimpleNamespace(vocab_size=VOCABULARY))
    if subset is not None:
        attach(bare, Wanted(subset))
    return bare


def gap(ours, dense):
    return float((ours - dense).abs().max())


def compare(subset, rank, world):
    """Largest differences between two shards and the dense answer."""
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(1, TOKENS, PADDED, generator=draw) * 3
    label = torch.randint(0, VOCABULARY, (1, TOKENS), generator=draw)
    u, w = torch.randn(2, 1, TOKENS, generator=draw)
    mine = slice(rank * PADDED // world, (rank + 1) * PADDED // world)
    shard = logits[..., mine].clone().requires_grad_()
    whole = logits[..., :VOCABULARY].clone().requires_grad_()
    temperature = torch.full((1, TOKENS), 0.8)
    out = engine(subset)._lm_head_logits_processor(shard, label, temperature, **KEYWORDS)
    ((out["log_probs"] * u).sum() + (out["entropy"] * w).sum()).backward()
    dense = token_stats(whole, label, subset=subset, temperature=0.8, backend="reference")
    ((dense.logp * u).sum() + (dense.entropy * w).sum()).backward()
    gradient = torch.nn.functional.pad(whole.grad, (0, PADDED - VOCABULARY))[..., mine]
    return {
        "logp": gap(out["log_probs"], dense.logp),
        "entropy": gap(out["entropy"], dense.entropy),
        "full_entropy": gap(out["aent_full_entropy"], dense.full_entropy),
        "gradient": gap(shard.grad, gradient),
        "requires_grad": out["aent_full_entropy"].requires_grad,
    }


@torch.no_grad()
def forward_only(rank, world):
    """Differences between our hook and verl's where no gradient is asked for."""
    draw = torch.Generator().manual_seed(1)
    logits = torch.randn(1, TOKENS, PADDED, generator=draw)[..., rank * PADDED // world :][
        ..., : PADDED // world
    ]
    label = torch.randint(0, VOCABULARY, (1, TOKENS), generator=draw)
    both = [
        engine(subset)._lm_head_logits_processor(logits.clone(), label, torch.ones(1, TOKENS), **KEYWORDS)
        for subset in (None, TopK(k=5))
    ]
    assert both[0].keys() == both[1].keys()
    return {name: gap(both[0][name], both[1][name]) for name in both[0]}


def main():
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    parallel_state.initialize_model_parallel(tensor_model_parallel_size=world)
    results = {name: compare(subset, rank, world) for name, subset in SUBSETS.items()}
    results["forward"] = forward_only(rank, world)
    torch.save(results, Path(sys.argv[1]) / f"megatron-{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
