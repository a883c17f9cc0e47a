"""What aent adds to a training step on a cluster, from formulas: FLOPs, bytes and collectives.

    python benchmarks/speed/scaling.py [--prompt 512] [--response 4096] [--micro 16384] [--per-gpu 2]

`docs/scaling.md` has the tables and explains the columns. Each formula is a line below. N is the number of
parameters that are active for a token, D the width of the output layer, V its vocabulary, T the tokens of a
step, t those of a micro-batch.
"""

import argparse
import json
import math
from dataclasses import dataclass

from aent.ops.backends.triton import CHUNK as LINEAR_CHUNK
from aent.ops.parallel import CHUNK as SHARD_CHUNK

TRAINED = 8
"""FLOPs per token and parameter of an update: 2 forward, 2 recomputed (checkpointing), 4 backward."""
RECOMPUTED = 2
"""FLOPs per token, width and column of the vocabulary that `linear_token_stats` adds: it computes the logits
again in backward, where verl keeps them."""
ROW_BYTES = {"full": 24, "subset": 1016}
"""What a rank puts into all-reduces per row, in float32: `shards.py` counts it."""
ALL_REDUCES = {"full": 2, "subset": 11}
"""Per chunk of rows: `shards.py` counts them."""
VERLS = 6
"""All-reduces per micro-batch in verl: three for the entropy, three for log-probabilities."""


@dataclass(frozen=True)
class Model:
    """The published shape of a model."""

    name: str
    parameters: float
    """Active for a token."""
    width: int
    vocabulary: int


SMALL = Model("7B (Qwen2.5-7B)", 7.62e9, 3584, 152_064)
MIDDLE = Model("32B (Qwen2.5-32B)", 32.8e9, 5120, 152_064)
LARGE = Model("671B (DeepSeek-V3)", 37e9, 7168, 129_280)


@dataclass(frozen=True)
class Cluster:
    """A model on a number of GPUs; tensor times pipeline parallel of 1 means FSDP2 without logits."""

    model: Model
    gpus: int
    tensor: int = 1
    pipeline: int = 1

    @property
    def replicas(self) -> int:
        """Number of data-parallel ranks."""
        return self.gpus // (self.tensor * self.pipeline)


CLUSTERS = (
    Cluster(SMALL, 8),
    Cluster(SMALL, 64),
    Cluster(SMALL, 512),
    Cluster(MIDDLE, 32),
    Cluster(MIDDLE, 256),
    Cluster(MIDDLE, 1024, tensor=8),
    Cluster(LARGE, 512, tensor=8, pipeline=16),
    Cluster(LARGE, 2048, tensor=8, pipeline=16),
    Cluster(LARGE, 4096, tensor=8, pipeline=16),
)


@dataclass(frozen=True)
class Work:
    """The tokens of a step."""

    rollouts: int
    prompt: int
    response: int
    micro: int
    """Tokens of a micro-batch."""

    @property
    def tokens(self) -> int:
        return self.rollouts * (self.prompt + self.response)

    def micro_batches(self, cluster: Cluster) -> int:
        """Number of micro-batches of a data-parallel rank."""
        return math.ceil(self.tokens / cluster.replicas / self.micro)


def fsdp_row(cluster: Cluster, work: Work) -> list[str]:
    """FSDP2 with ``+aent.head=true``: per GPU and step."""
    model, tokens = cluster.model, work.tokens / cluster.gpus
    update = TRAINED * model.parameters * tokens
    extra = RECOMPUTED * model.width * model.vocabulary * tokens
    logits = 2 * work.micro * model.vocabulary
    chunk = 2 * LINEAR_CHUNK // model.vocabulary * model.vocabulary
    gathered = 4 * work.micro * work.response / (work.prompt + work.response) * cluster.replicas
    return [
        model.name,
        f"{cluster.gpus:,}",
        f"{work.rollouts:,}",
        str(work.micro_batches(cluster)),
        f"{update / 1e15:.1f}",
        f"{extra / 1e15:.2f} ({100 * extra / update:.1f} %)",
        f"{logits / 2**30:.1f} GiB",
        f"{chunk / 2**30:.2f} GiB",
        "0",
        f"{2 * work.micro_batches(cluster)} of {gathered / 2**20:.1f} MiB",
    ]


def megatron_row(cluster: Cluster, work: Work) -> list[str]:
    """Megatron: on the GPUs of the last pipeline stage, per step."""
    model, micro_batches = cluster.model, work.micro_batches(cluster)
    shard = math.ceil(model.vocabulary / cluster.tensor)
    chunks = math.ceil(work.micro / (SHARD_CHUNK // shard))
    sent = {kind: work.micro * size * micro_batches for kind, size in ROW_BYTES.items()}
    update = TRAINED * model.parameters * work.tokens / cluster.gpus
    return [
        model.name,
        f"{cluster.gpus:,} ({cluster.tensor} x {cluster.pipeline} x {cluster.replicas})",
        f"{work.rollouts:,}",
        str(micro_batches),
        f"{update / 1e15:.1f}",
        f"{VERLS * micro_batches:,}",
        f"{ALL_REDUCES['full'] * chunks * micro_batches:,}",
        f"{sent['full'] / 2**20:.0f} MiB",
        f"{ALL_REDUCES['subset'] * chunks * micro_batches:,}",
        f"{sent['subset'] / 2**20:.0f} MiB",
    ]


def driver_row(cluster: Cluster, work: Work) -> list[str]:
    """The driver, per step."""
    response = work.rollouts * work.response
    state = json.dumps({"coef": 0.0123456789, "band": [0.2, 0.4], "last_entropy": 0.3, "remaining": 0.5})
    return [
        cluster.model.name,
        f"{cluster.gpus:,}",
        f"{work.rollouts:,}",
        f"{4 * response / 2**20:.0f} MiB",
        f"{16 * response / 2**20:.0f} MiB",
        f"{8 * work.rollouts / 2**10:.0f} KiB",
        f"{4 * response / 2**20:.0f} MiB",
        f"{len(state)} B",
    ]


HEADERS = {
    fsdp_row: (
        "model | GPUs | rollouts | micro-batches | update, PFLOP | recomputed logits, PFLOP | "
        "logits in verl | logits with aent | collectives | all-gathers per quantile"
    ),
    megatron_row: (
        "model | GPUs (tensor x pipeline x data) | rollouts | micro-batches | update, PFLOP | "
        "all-reduces in verl | full entropy | bytes | clamped entropy | bytes"
    ),
    driver_row: (
        "model | GPUs | rollouts | read | read for advantages | written | written for advantages | sent"
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--prompt", type=int, default=512, help="tokens of a prompt")
    parser.add_argument("--response", type=int, default=4096, help="mean tokens of a response")
    parser.add_argument("--micro", type=int, default=16_384, help="tokens of a micro-batch")
    parser.add_argument("--per-gpu", type=int, default=2, help="rollouts per GPU, if more than 1,024 in all")
    args = parser.parse_args()
    for row, header in HEADERS.items():
        print(f"\n| {header} |\n|{'---|' * (header.count('|') + 1)}")
        for cluster in CLUSTERS:
            sharded = cluster.tensor > 1
            if row is (fsdp_row if sharded else megatron_row):
                continue
            rollouts = max(1024, args.per_gpu * cluster.gpus)
            work = Work(rollouts, args.prompt, args.response, args.micro)
            print(f"| {' | '.join(row(cluster, work))} |")


if __name__ == "__main__":
    main()
