"""Memory of one training GPU and of one vLLM server GPU, in bytes, item by item.

Several GPUs shard weights, gradients and optimizer state (FSDP2 or ZeRO-3); a single GPU holds all of them.
AdamW keeps two moments in the dtype of the weights. Products are computed in bfloat16.
"""

from aent.ops.backends.chunked import ACCELERATOR
from aent.planning.constants import GPU, LONGEST_PROMPT, OVERHEAD, SERVER_MEMORY, VLLM_OVERHEAD
from aent.planning.model import Sizes
from aent.planning.workload import Workload

BF16, FP32 = 2, 4
BLOCKS = 4
"""Blocks of float32 logits that `aent.ops.backends.chunked` holds at a time on a GPU."""


def states(sizes: Sizes, work: Workload) -> dict[str, float]:
    """Return what stays on a training GPU between steps: weights, and two moments of the trained ones."""
    trained = sizes.adapter or sizes.parameters
    frozen = sizes.parameters if sizes.adapter else 0
    items = {
        "weights": (trained + frozen) * work.weight_bytes / work.gpus,
        "optimizer": 2 * trained * work.weight_bytes / work.gpus,
    }
    if work.reference and not sizes.adapter:
        items["reference model"] = sizes.parameters * work.weight_bytes / work.gpus
    return items


def step(sizes: Sizes, work: Workload) -> dict[str, float]:
    """Return what a forward and backward pass adds."""
    tokens = work.micro_batch * (LONGEST_PROMPT + work.longest)
    trained = sizes.adapter or sizes.parameters
    return {
        "gradients": trained * work.weight_bytes / work.gpus,
        "weights in bfloat16": working_copy(sizes, work),
        "activations": BF16 * tokens * saved_per_token(sizes, checkpointing=work.checkpointing),
        "output layer": output_layer(sizes),
    }


def working_copy(sizes: Sizes, work: Workload) -> float:
    """Return the bytes of the weights that products are computed with.

    On one GPU these are autocast's copies of the linear layers, none if the weights are bfloat16 already. On
    several it is what is gathered at a time: embeddings and output layer for the whole pass, two blocks, and
    their gradients.
    """
    if work.gpus == 1:
        return BF16 * (sizes.layers * sizes.layer + sizes.head) if work.weight_bytes > BF16 else 0.0
    return 2 * BF16 * (sizes.embeddings + 2 * sizes.layer)


def saved_per_token(sizes: Sizes, *, checkpointing: bool) -> float:
    """Return how many numbers per token are kept for the backward pass.

    These are those of all blocks and of the last norm. With checkpointing they are the input of every block,
    and those of one block while it is recomputed.
    """
    last_norm = 2 * sizes.hidden + 1
    if checkpointing:
        return sizes.layers * sizes.hidden + last_norm + sizes.saved_per_layer
    return sizes.layers * sizes.saved_per_layer + last_norm


def output_layer(sizes: Sizes) -> float:
    """Return the bytes of the float32 blocks of logits, and of the sum of the output layer's gradient."""
    return FP32 * (BLOCKS * ACCELERATOR + sizes.head)


def generation(sizes: Sizes, work: Workload, gpu: GPU) -> dict[str, float]:
    """Return what generating takes on a training GPU: vLLM's share, or the KV cache of transformers."""
    if work.generator == "server":
        return {}
    if work.generator == "colocate":
        return {"vLLM": work.vllm_share * gpu.memory}
    tokens = work.completions / work.gpus * (LONGEST_PROMPT + work.longest)
    return {"KV cache": tokens * sizes.kv_bytes}


def peak(sizes: Sizes, work: Workload, gpu: GPU) -> float:
    """Return the most that a training GPU holds at a time.

    Training and generating take turns. A vLLM that does not sleep keeps its share all the time.
    """
    held, pass_ = sum(states(sizes, work).values()), sum(step(sizes, work).values())
    generating = sum(generation(sizes, work, gpu).values())
    stays = work.generator == "colocate" and not work.sleeps
    return OVERHEAD + held + (pass_ + generating if stays else max(pass_, generating))


def kv_room(sizes: Sizes, work: Workload, gpu: GPU) -> float:
    """Return the bytes that vLLM has for its KV cache on one card; negative if not even the weights fit."""
    share = SERVER_MEMORY if work.generator == "server" else work.vllm_share
    return share * gpu.memory - BF16 * sizes.parameters - VLLM_OVERHEAD
