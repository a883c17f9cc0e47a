"""The seconds of one batch of rollouts: generating, scoring and updating."""

from dataclasses import dataclass

from aent.planning.constants import (
    BANDWIDTH_UTILIZATION,
    GPU,
    LONGEST_PROMPT,
    MEAN_PROMPT,
    MODEL_FLOPS_UTILIZATION,
    SECONDS_PER_TOKEN,
)
from aent.planning.memory import kv_room
from aent.planning.model import Sizes
from aent.planning.workload import Workload

BF16 = 2


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds of one batch of rollouts, on all GPUs together."""

    rollout: float
    scoring: float
    update: float

    @property
    def total(self) -> float:
        """Seconds of the whole batch; the three parts follow each other."""
        return self.rollout + self.scoring + self.update


def times(sizes: Sizes, work: Workload, gpu: GPU) -> Times:
    """Estimate the three parts on a kind of card; infinite if vLLM does not fit."""
    rate = work.gpus * gpu.flops * MODEL_FLOPS_UTILIZATION
    return Times(
        rollout=rollout_seconds(sizes, work, gpu),
        scoring=scoring_flops(sizes, work) / rate,
        update=update_flops(sizes, work) / rate,
    )


def body_passes(sizes: Sizes, work: Workload) -> int:
    """Return the cost of an update of the blocks, in forward passes.

    1 for forward and 2 for backward (the gradients of the weights and of the inputs: ``6 N D`` in all), and 1
    more for checkpointing. A frozen model under an adapter has no gradients of its weights.
    """
    return 1 + (1 if sizes.adapter else 2) + int(work.checkpointing)


HEAD_PASSES = 4
"""The same for the output layer: the logits, the logits once more, and two gradients."""


def update_flops(sizes: Sizes, work: Workload, *, padded: bool = True) -> float:
    """Return the FLOPs of all updates on a batch of rollouts.

    TRL pads every completion to the longest of the batch and runs the blocks on the padding too; the output
    layer sees completion tokens only. With ``padded=False`` there is no padding, as in verl.
    """
    return work.iterations * (
        body_passes(sizes, work) * _body(sizes, work, padded=padded) + HEAD_PASSES * _head(sizes, work)
    )


def scoring_flops(sizes: Sizes, work: Workload) -> float:
    """Return the FLOPs of scoring before the update: old log-probabilities, and the reference model's."""
    return (int(work.scored) + int(work.reference)) * (_body(sizes, work, padded=True) + _head(sizes, work))


def _body(sizes: Sizes, work: Workload, *, padded: bool) -> float:
    length = (LONGEST_PROMPT + work.longest) if padded else (MEAN_PROMPT + work.mean)
    return work.completions * length * sizes.body_flops(length / 2)


def _head(sizes: Sizes, work: Workload) -> float:
    return work.completions * work.mean * sizes.head_flops


def rollout_seconds(sizes: Sizes, work: Workload, gpu: GPU) -> float:
    """Seconds to generate a batch of rollouts.

    One decoding step of B sequences reads the weights and B caches, and multiplies B vectors:
    ``max((2 N + B cache) / bandwidth, B FLOPs / rate) + overhead``. vLLM keeps B as full as its cache allows,
    and the last sequence still takes as many steps as it has tokens; transformers runs until the last
    sequence of its batch is done.
    """
    generators = work.server_gpus or work.gpus
    sequences = work.completions / generators
    cache = sizes.kv_bytes * (MEAN_PROMPT + work.mean / 2)
    if work.generator == "transformers":
        return work.longest * _decode(sizes, gpu, sequences, cache, "transformers")
    room = kv_room(sizes, work, gpu)
    if room < sizes.kv_bytes * (MEAN_PROMPT + work.longest):
        return float("inf")
    at_once = min(sequences, room / (sizes.kv_bytes * (MEAN_PROMPT + work.mean)))
    full = sequences * work.mean / at_once * _decode(sizes, gpu, at_once, cache, "vllm")
    last = work.longest * _decode(sizes, gpu, 1, cache, "vllm")
    return prompt_seconds(sizes, work, gpu) + max(full, last)


def prompt_seconds(sizes: Sizes, work: Workload, gpu: GPU) -> float:
    """Return the seconds to read the prompts, each once for its group."""
    generators = work.server_gpus or work.gpus
    tokens = work.completions / work.group / generators * MEAN_PROMPT
    return tokens * sizes.body_flops(MEAN_PROMPT / 2) / (gpu.flops * MODEL_FLOPS_UTILIZATION)


def _decode(sizes: Sizes, gpu: GPU, sequences: float, cache: float, how: str) -> float:
    moved = BF16 * sizes.parameters + sequences * cache
    flops = sequences * (sizes.body_flops(0) + sizes.head_flops)
    arithmetic = flops / (gpu.flops * MODEL_FLOPS_UTILIZATION)
    return max(moved / (gpu.bandwidth * BANDWIDTH_UTILIZATION), arithmetic) + SECONDS_PER_TOKEN[how]
