"""One rank of a group on gloo: an update of verl's FSDP2 engine in several forms, from the same start.

``torchrun ... engine_ranks.py FOLDER`` writes ``FOLDER/{form}-{rank}.pt`` with loss, metrics and gradients.
"""

import sys
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from verl.trainer.config import CheckpointConfig
from verl.utils import tensordict_utils as tu
from verl.workers import engine_workers
from verl.workers.config import (
    FSDPActorConfig,
    FSDPEngineConfig,
    FSDPOptimizerConfig,
    HFModelConfig,
    TrainingWorkerConfig,
)

from aent import InputError, load_method
from aent.controllers import Foresighted
from aent.verl.engine import Wanted, attach
from aent.verl.host import gather_all
from aent.verl.loss import MethodLoss

BONUS = {"name": "entropy-bonus", "coef": 0.05}
CUT = {**BONUS, "subset": {"name": "fraction", "drop": 0.33}}
FORMS = {
    "verl": (None, False),
    "logits": (BONUS, False),
    "head": (BONUS, True),
    "logits-cut": (CUT, False),
    "head-cut": (CUT, True),
    "logits-auto": ("aent-auto", False),
    "head-auto": ("aent-auto", True),
}
"""The method of each form, and whether it works without logits."""
COEF = 0.05


def training_worker(folder, lr=1e-3, micro=2):
    model = HFModelConfig(
        path=str(folder),
        load_tokenizer=False,
        use_remove_padding=True,
        enable_gradient_checkpointing=False,
        override_config={"attn_implementation": "sdpa"},
    )
    engine = FSDPEngineConfig(
        forward_only=False,
        strategy="fsdp2",
        fsdp_size=-1,
        use_torch_compile=False,
        use_dynamic_bsz=False,
        micro_batch_size_per_gpu=micro,
        infer_micro_batch_size_per_gpu=4,
        use_remove_padding=True,
        model_dtype="fp32",
        mixed_precision={"param_dtype": "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32"},
    )
    optimizer = FSDPOptimizerConfig(lr=lr, total_training_steps=100)
    config = TrainingWorkerConfig(
        model_type="language_model",
        model_config=model,
        engine_config=engine,
        optimizer_config=optimizer,
        checkpoint_config=CheckpointConfig(),
    )
    worker = engine_workers.TrainingWorker(config)
    worker.reset()
    return worker


def batch(rank, world, rollouts=4):
    """Rollouts of 2 to 6 prompt tokens and 5 to 12 response tokens, with a tool's output in one of them."""
    draw = torch.Generator().manual_seed(100 + rank)

    def jagged(rows):
        return torch.nested.as_nested_tensor(rows, layout=torch.jagged)

    prompts = [torch.randint(3, 31, (2 + i,), generator=draw) for i in range(rollouts)]
    lengths = [12, 5, 7, 9][:rollouts]
    responses = [torch.randint(3, 31, (n,), generator=draw) for n in lengths]
    whole = [torch.cat(pair) for pair in zip(prompts, responses, strict=True)]
    masks = [torch.ones(n, dtype=torch.long) for n in lengths]
    masks[0][3:5] = 0
    data = tu.get_tensordict(
        {
            "input_ids": jagged(whole),
            "position_ids": jagged([torch.arange(len(row)) for row in whole]),
            "prompts": jagged(prompts),
            "responses": jagged(responses),
            "response_mask": jagged(masks),
            "loss_mask": jagged(masks),
            "old_log_probs": jagged([torch.full((n,), -3.4) for n in lengths]),
            "advantages": jagged([torch.randn(n, generator=draw) for n in lengths]),
            "aent_solved": torch.linspace(0, 1, rollouts)[:, None],
        }
    )
    sizes = {"global_batch_size": rollouts * world, "mini_batch_size": rollouts * world}
    state = {"coef": COEF, "band": None, "last_entropy": None, "remaining": 1.0}
    tu.assign_non_tensor(
        data,
        aent=state,
        temperature=0.8,
        calculate_entropy=True,
        epochs=1,
        seed=1,
        dataloader_kwargs={"shuffle": False},
        **sizes,
    )
    return data


def update(folder, form, rank, world):
    """One update; returns metrics, and the gradients that the optimizer saw."""
    spec, head = FORMS[form]
    worker = training_worker(folder)
    options = {"ppo_micro_batch_size_per_gpu": 2, "calculate_entropy": True, "rollout_n": 1}
    entropy_coeff = COEF if spec is None else 0.0
    config = FSDPActorConfig(strategy="fsdp2", entropy_coeff=entropy_coeff, **options)
    loss = partial(engine_workers.ppo_loss, config=config)
    if spec is not None:
        method = load_method(spec)
        slopes = isinstance(method.controller, Foresighted)
        attach(worker.engine, Wanted(method.subset, slopes), head=head)
        loss = MethodLoss(method, loss)
    gradients, widths = {}, set()
    step, outputs = worker.engine.optimizer_step, worker.engine.prepare_model_outputs

    def keep_and_step():
        for name, parameter in worker.engine.module.named_parameters():
            gradients[name] = parameter.grad.full_tensor().clone()
        return step()

    def watch(output, **rest):
        widths.add(output.logits.shape[-1])
        return outputs(output, **rest)

    worker.engine.optimizer_step, worker.engine.prepare_model_outputs = keep_and_step, watch
    worker.set_loss_fn(loss)
    metrics = tu.get(worker.train_mini_batch(batch(rank, world)), "metrics")
    after = batch(rank, world)
    tu.assign_non_tensor(after, compute_loss=False)
    scored = worker.infer_batch(after)  # without gradient: verl's own numbers, after the step
    kept = {name: scored[name].values() for name in ("log_probs", "entropy")}
    tu.assign_non_tensor(after, calculate_entropy=False)
    assert "entropy" not in worker.infer_batch(after)
    return {"metrics": reduced(metrics), "gradients": gradients, "scored": kept, "widths": widths}


def reduced(metrics):
    from verl.utils.metric import reduce_metrics

    return {name: float(value) for name, value in reduce_metrics(metrics).items()}


def refusals(folder):
    """What an engine that does not fit says."""
    messages = {}
    worker = training_worker(folder)
    try:
        attach(object(), Wanted(load_method("aent").subset))
    except InputError as error:
        messages["engine"] = str(error)
    head = worker.engine.module.get_output_embeddings()
    plain = head.forward
    attach(worker.engine, Wanted(load_method("aent").subset), head=True)
    scaled = head.forward
    head.forward = lambda hidden: 2 * scaled(hidden)
    worker.set_loss_fn(lambda **_: None)
    try:
        worker.train_mini_batch(batch(dist.get_rank(), dist.get_world_size()))
    except InputError as error:
        messages["scaled"] = str(error)
    head.forward = plain
    return messages


def main():
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    folder = Path(sys.argv[1])
    for form in FORMS:
        torch.save(update(folder, form, rank, world), folder / f"{form}-{rank}.pt")
    everything = gather_all(dist.group.WORLD, torch.arange(3.0 * rank))  # none on rank 0, three on rank 1
    torch.save({"gathered": everything, **refusals(folder)}, folder / f"other-{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
