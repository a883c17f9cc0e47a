"""Every number behind the estimates that is in no recipe: published, or marked as an assumption."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class GPU:
    """A card, from the data sheet of its maker."""

    memory: float
    """Bytes, as labeled."""
    flops: float
    """FLOPs per second: dense bfloat16 products summed in float32."""
    bandwidth: float
    """Bytes per second of its memory."""


GPUS: dict[str, GPU] = {
    "a100-80g": GPU(memory=80e9, flops=312e12, bandwidth=2.039e12),
    "h100-80g": GPU(memory=80e9, flops=989e12, bandwidth=3.35e12),
    "h200": GPU(memory=141e9, flops=989e12, bandwidth=4.8e12),
    "l40s": GPU(memory=48e9, flops=362e12, bandwidth=0.864e12),
    "rtx4090": GPU(memory=24e9, flops=165e12, bandwidth=1.008e12),
}
"""NVIDIA's data sheets: A100 80GB SXM, H100 SXM, H200 SXM, L40S, and the Ada white paper for the RTX 4090."""

MODEL_FLOPS_UTILIZATION = 0.35
"""Assumption: share of a card's FLOPs reached in training, scoring and reading prompts."""
BANDWIDTH_UTILIZATION = 0.6
"""Assumption: share of a card's memory bandwidth reached in decoding."""
SECONDS_PER_TOKEN = {"vllm": 0.004, "transformers": 0.03}
"""Assumption: cost of a decoding step besides memory and arithmetic, for any number of sequences."""
MEAN_SHARE = 0.4
"""Assumption: mean length of a completion, as a share of the longest allowed. It matters most of all."""
MEAN_PROMPT, LONGEST_PROMPT = 150, 512
"""Assumption: tokens of a prompt, on average and at most in a batch of rollouts."""
OVERHEAD = 3e9
"""Assumption, bytes: CUDA context, communication buffers, fragmentation."""
VLLM_OVERHEAD = 2e9
"""Assumption, bytes: what vLLM holds in addition to weights and KV cache."""
SERVER_MEMORY = 0.9
"""Share of a card that a vLLM server takes: vLLM's default."""
USABLE = 0.95
"""Assumption: a plan that needs more than this share of a card's memory does not fit."""

_QWEN_1_5B = {
    "hidden_size": 1536, "num_hidden_layers": 28, "num_attention_heads": 12, "num_key_value_heads": 2,
    "intermediate_size": 8960, "vocab_size": 151_936,
}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "Qwen/Qwen2.5-0.5B-Instruct": {
        "hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
        "intermediate_size": 4864, "vocab_size": 151_936, "tie_word_embeddings": True,
    },
    "Qwen/Qwen2.5-Math-1.5B": {**_QWEN_1_5B, "tie_word_embeddings": True},
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": {**_QWEN_1_5B, "tie_word_embeddings": False},
    "Qwen/Qwen2.5-Math-7B": {
        "hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
        "intermediate_size": 18_944, "vocab_size": 152_064, "tie_word_embeddings": False,
    },
}  # fmt: skip
"""Arguments of transformers' Qwen2Config, from the models' config.json, so that nothing is downloaded."""


@dataclass(frozen=True, kw_only=True)
class PaperRun:
    """What the paper reports of one of its runs; None where no source we could read has it."""

    gpus: int
    """The number the recipe is written for: the paper's, where it is known."""
    grpo: float | None = None
    """GPU-hours of GRPO to its best score."""
    aent: float | None = None
    """GPU-hours of AEnt to that score."""
    grpo_update: float | None = None
    """GPU-hours of the update on one batch of rollouts, GRPO."""
    aent_update: float | None = None
    """GPU-hours of the same update, AEnt."""


PAPER: dict[str, PaperRun] = {
    "paper-math": PaperRun(gpus=4, grpo=57, aent=35, grpo_update=0.234, aent_update=0.256),
    "paper-openr1": PaperRun(gpus=8, grpo=237, aent=186),
    "paper-deepmath": PaperRun(gpus=8),
}
"""arXiv 2509.03493, table 2, on A100; the GPUs of the third run are ours."""
