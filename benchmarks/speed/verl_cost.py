"""What aent costs in verl: an update of the actor beside verl's own, and the driver's part of a step.

    .venv-verl/bin/python benchmarks/speed/verl_cost.py [--shape toy 0.5b] [--rounds 6] [--forms ...] [--ray]

An update is verl's `train_mini_batch` on one process: FSDP2 on gloo, packed rollouts, float32, optimizer step
included. Rounds go through all forms and back again on the same engine and data. With one thread, seconds are
of the process, so other programs on the machine do not count. Prints the median over the rounds, the ratio to
`verl, entropy logged` with an interval (20 % and 80 % of the rounds), and the peak of the resident memory
above what is there before the update.

Forms: `verl` computes log-probabilities only; `verl, entropy logged` is verl's ``calculate_entropy`` (the
metric on its dashboards), `verl, entropy bonus` its ``entropy_coeff``. `aent, logits` and `aent, no logits`
(``+aent.head=true``) are the method `aent` with a third of the vocabulary dropped; `full` is a bonus on all
of it.

Shapes: `toy` is the policy of tests/verl, 128 rollouts of 8 tokens; `0.5b` has the output layer of a 0.5B
model (896 x 151,936, tied) over one of its 24 layers, 4 rollouts of 32 tokens.

The driver's part: what aent's trainer adds to a step with 1,024 rollouts of 1 to 1,024 tokens, by the kind of
method. `--ray` adds the exchange with TransferQueue in a Ray cluster on this machine.
"""

import argparse
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from verl_on_cpu import toy

os.environ.update(toy.ENVIRONMENT)
sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "verl"))

import numpy as np
import torch
import torch.distributed as dist
import transfer_queue as tq
from engine_ranks import training_worker
from transformers import LlamaConfig, LlamaForCausalLM
from verl.utils import tensordict_utils as tu
from verl.workers.config import FSDPActorConfig
from verl.workers.utils.losses import ppo_loss

from aent import Sums, load_method
from aent.verl.engine import Wanted, attach
from aent.verl.loss import MethodLoss
from aent.verl.rollouts import RolloutScores, put
from aent.verl.window import PREFIX, Window

LIMIT = "verl, entropy logged"
"""The form that the others are compared with."""
CUT = {"name": "aent", "drop": 0.33, "low": 0.0, "high": 99.0, "coef": 0.01, "coef_max": 0.1, "warmup": 0}
FULL = {"name": "entropy-bonus", "coef": 0.01}
FORMS: dict[str, tuple[Any, bool, bool, float]] = {
    "verl": (None, False, False, 0.0),
    LIMIT: (None, False, True, 0.0),
    "verl, entropy bonus": (None, False, True, 0.01),
    "aent, logits": (CUT, False, True, 0.0),
    "aent, no logits": (CUT, True, True, 0.0),
    "aent, no logits, full": (FULL, True, True, 0.0),
}
"""Method, whether without logits, whether verl computes entropies, and its ``entropy_coeff``."""
STATE = {"coef": 0.01, "band": None, "last_entropy": None, "remaining": 1.0}
PROC = Path("/proc/self")


def wide_policy() -> LlamaForCausalLM:
    """One layer of a 0.5B model under its whole output layer."""
    torch.manual_seed(0)
    shape = {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 14, "num_key_value_heads": 2, "tie_word_embeddings": True}
    ids = {"vocab_size": 151_936, "eos_token_id": 1, "pad_token_id": 0, "bos_token_id": None}
    return LlamaForCausalLM(LlamaConfig(**shape, **heads, **ids))


SHAPES = {"toy": (toy.policy, 128, 8, 32), "0.5b": (wide_policy, 4, 32, 4)}
"""The policy, its rollouts, their tokens, and the rollouts of a micro-batch."""


def batch(rollouts: int, tokens: int, vocab: int, entropy: bool) -> Any:
    """Rollouts as verl's worker gets them."""
    draw = torch.Generator().manual_seed(0)

    def jagged(rows: list[torch.Tensor]) -> torch.Tensor:
        return torch.nested.as_nested_tensor(rows, layout=torch.jagged)

    ids = [torch.randint(3, vocab, (4 + tokens,), generator=draw) for _ in range(rollouts)]
    ones = [torch.ones(tokens, dtype=torch.long) for _ in ids]
    data = tu.get_tensordict(
        {
            "input_ids": jagged(ids),
            "position_ids": jagged([torch.arange(len(row)) for row in ids]),
            "prompts": jagged([row[:4] for row in ids]),
            "responses": jagged([row[4:] for row in ids]),
            "response_mask": jagged(ones),
            "loss_mask": jagged(ones),
            "old_log_probs": jagged([torch.full((tokens,), -float(np.log(vocab))) for _ in ids]),
            "advantages": jagged([torch.randn(tokens, generator=draw) for _ in ids]),
        }
    )
    sizes = {"global_batch_size": rollouts, "mini_batch_size": rollouts, "epochs": 1, "seed": 1}
    options = {"temperature": 1.0, "calculate_entropy": entropy, "dataloader_kwargs": {"shuffle": False}}
    tu.assign_non_tensor(data, aent=dict(STATE), **sizes, **options)
    return data


def switch(worker: Any, plain: type, form: str) -> None:
    """Give the engine and loss of a form to a worker."""
    spec, head, entropy, coefficient = FORMS[form]
    worker.engine.__class__ = plain
    worker.engine.module.get_output_embeddings().__dict__.pop("forward", None)
    config = FSDPActorConfig(
        strategy="fsdp2",
        entropy_coeff=coefficient,
        calculate_entropy=entropy,
        ppo_micro_batch_size_per_gpu=1,
        rollout_n=1,
    )
    loss: Any = partial(ppo_loss, config=config)
    if spec is not None:
        method = load_method(spec)
        attach(worker.engine, Wanted(method.subset), head=head)
        loss = MethodLoss(method, loss)
    worker.set_loss_fn(loss)


def resident(what: str) -> int:
    """Bytes that Linux counts as VmRSS or VmHWM (its peak)."""
    line = re.search(rf"{what}:\s+(\d+) kB", (PROC / "status").read_text())
    assert line, f"Linux reports {what}"
    return 1024 * int(line[1])


def updates(shape: str, rounds: int, forms: list[str]) -> None:
    """Time and measure the actor's update in all forms."""
    policy, rollouts, tokens, micro = SHAPES[shape]
    with TemporaryDirectory() as folder:
        policy().save_pretrained(folder)
        worker = training_worker(Path(folder), micro=micro)
    plain, vocab = type(worker.engine), worker.engine.module.config.vocab_size

    def update(form: str) -> None:
        worker.train_mini_batch(batch(rollouts, tokens, vocab, FORMS[form][2]))

    seconds: dict[str, list[float]] = {form: [] for form in forms}
    peaks = dict.fromkeys(forms, 0)
    for number in range(-1, rounds):
        for form in forms if number % 2 else reversed(forms):
            switch(worker, plain, form)
            (PROC / "clear_refs").write_text("5")  # forget the peak
            before, start = resident("VmRSS"), time.process_time()
            update(form)
            took = time.process_time() - start
            print(f"{shape}, round {number}, {form}: {took:.2f} s", file=sys.stderr, flush=True)
            if number >= 0:  # the first round warms up
                seconds[form].append(took)
                peaks[form] = max(peaks[form], resident("VmHWM") - before)
    print(f"\n{shape}: {rollouts} rollouts of {tokens} tokens, vocabulary {vocab:,}, {rounds} rounds\n")
    print("| form | seconds | ratio | 20 to 80 % | peak memory, MiB |\n|---|---|---|---|---|")
    base = np.array(seconds[LIMIT])
    for form, values in seconds.items():
        low, middle, high = np.quantile(np.array(values) / base, [0.2, 0.5, 0.8])
        cells = f"{np.median(values):.3f}", f"{middle:.3f}", f"{low:.3f} to {high:.3f}"
        print("|", " | ".join((form, *cells, f"{peaks[form] / 2**20:.0f}")), "|")


def rollout_fields(rows: int, longest: int) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, longest + 1, (rows,), generator=draw).tolist()
    columns = {
        "rm_scores": [torch.zeros(n) for n in lengths],
        "old_log_probs": [-torch.rand(n, generator=draw) for n in lengths],
        "response_mask": [torch.ones(n, dtype=torch.long) for n in lengths],
    }
    for row in columns["rm_scores"]:
        row[-1] = torch.rand((), generator=draw).round()
    return {name: torch.nested.as_nested_tensor(x, layout=torch.jagged) for name, x in columns.items()}


DRIVER = {
    "a controller (aent)": "aent",
    "the share of a prompt that is solved (aent-auto)": "aent-auto",
    "changed rewards (unlikeliness)": "unlikeliness",
    "group advantages (pass-at-k)": {"name": "pass-at-k", "k": 2},
}


def driver(rows: int, size: int, repeats: int, through_ray: bool) -> None:
    """Time what the driver adds to a step."""
    fields = rollout_fields(rows, 1024)
    keys = [f"{n // size}_{n % size}_0" for n in range(rows)]
    meta = tq.KVBatchMeta(keys=keys, tags=[{}] * rows, partition_id="train")
    if through_ray:
        import ray

        ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
        tq.init()
        tq.kv_batch_put(keys=keys, partition_id="train", fields=tu.get_tensordict(dict(fields)))
        queue = nullcontext()
    else:
        queue = patch.multiple(tq, kv_batch_get=lambda **_: fields, kv_batch_put=lambda **_: meta)
    where = "TransferQueue on Ray, wall clock" if through_ray else "no Ray, seconds of the process"
    clock = time.perf_counter if through_ray else time.process_time
    print(f"\ndriver, {rows:,} rollouts of 1 to 1,024 tokens, {where}, {repeats} repeats\n")
    print("| method with | ms | 20 to 80 % |\n|---|---|---|")
    for name, spec in DRIVER.items():
        with queue:
            times = list(timed_steps(load_method(spec), meta, size, repeats, clock))
        low, middle, high = np.quantile(times, [0.2, 0.5, 0.8]) * 1000
        print(f"| {name} | {middle:.1f} | {low:.1f} to {high:.1f} |")


def timed_steps(
    method: Any, meta: Any, size: int, repeats: int, clock: Callable[[], float]
) -> Iterator[float]:
    window = Window(method)
    sums = Sums(entropy=10.0, full_entropy=30.0, weight=10.0, tokens=10.0, pull=0.0, push=0.0)
    metrics = {PREFIX + name: value for name, value in sums._asdict().items()}
    for number in range(repeats + 1):
        start = clock()
        if method.rewards or method.group_advantages or method.needs_group_reward:
            exchange(method, meta, size)
        window.take(dict(metrics))
        window.close(remaining=1.0)
        if number:  # the first warms up
            yield clock() - start


def exchange(method: Any, meta: Any, size: int) -> None:
    """Do what `AEntMixin._compute_advantage` does around verl's own."""
    scores = RolloutScores.read(method, meta, size)
    added = scores.columns()
    if method.rewards:
        put(meta, {"rm_scores": scores.changed_scores()})
        added["rm_scores"] = scores.scores
    if method.group_advantages:
        added["advantages"] = scores.advantages()
    put(meta, added)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shape", nargs="*", default=list(SHAPES), choices=SHAPES)
    parser.add_argument("--forms", nargs="*", default=list(FORMS), choices=FORMS)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=20, help="of the driver's part")
    parser.add_argument("--ray", action="store_true", help="the driver's part through TransferQueue, too")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread, Python {platform.python_version()}")
    if args.shape:
        os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29555"}
        dist.init_process_group("gloo")
        for shape in args.shape:
            updates(shape, args.rounds, [LIMIT, *(form for form in args.forms if form != LIMIT)])
        dist.destroy_process_group()
    driver(1024, 8, args.repeats, through_ray=False)
    if args.ray:
        driver(1024, 8, args.repeats, through_ray=True)


if __name__ == "__main__":
    main()
