"""The workload of a recipe in numbers: batches, lengths, precision, and where it generates."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal

from aent.algorithms import load_algorithm
from aent.errors import InputError
from aent.planning.constants import MEAN_SHARE
from aent.runs.recipe import Recipe
from aent.tasks import completion_room, load_task
from aent.training.checks import check_numbers
from aent.trl.algorithms import classes

KNOWN: Mapping[str, tuple[Any, ...]] = {
    "load_in_4bit": (False,),
    "load_in_8bit": (False,),
    "optim": ("adamw_torch_fused", "adamw_torch"),
    "vllm_tensor_parallel_size": (1,),
}
"""Options that change the memory of a card, and the values that the estimate knows."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A run on a number of training GPUs."""

    gpus: int
    """GPUs that train; with colocated vLLM they generate too."""
    server_gpus: int
    """GPUs that only generate; 0 without a vLLM server."""
    completions: int
    """Completions of one batch of rollouts, on all GPUs."""
    group: int
    """Completions per prompt."""
    micro_batch: int
    """Completions per GPU in one forward pass."""
    accumulation: int
    """Forward passes per optimizer step."""
    per_generation: int
    """Forward passes per batch of rollouts."""
    iterations: int
    """How many times a batch of rollouts is used."""
    batches: float
    """Batches of rollouts in the whole run."""
    longest: int
    """Most tokens of a completion."""
    mean: float
    """Mean number of tokens of a completion."""
    weight_bytes: int
    """Bytes of a weight in training."""
    checkpointing: bool
    """Whether activations are recomputed in the backward pass."""
    scored: bool
    """Whether the log-probabilities of rollouts are computed once more before the update."""
    reference: bool
    """Whether a reference model scores rollouts for a KL penalty; with an adapter, the model without it."""
    generator: Literal["transformers", "colocate", "server"]
    vllm_share: float
    """Share of a card's memory for colocated vLLM."""
    sleeps: bool
    """Whether colocated vLLM releases its memory during training."""


def workload(
    recipe: Recipe,
    *,
    reference_gpus: int,
    gpus: int,
    server_gpus: int | None = None,
    mean: float | None = None,
) -> Workload:
    """Return the workload of a recipe written for `reference_gpus` on `gpus` GPUs, with the same batches.

    Raises:
        InputError: if the batches do not divide evenly, for a number out of range, GPUs of a server that the
            recipe does not use, or for something that the estimate does not know.
    """
    trainer = load_algorithm(recipe.algorithm).trainer
    if trainer == "PPO":
        raise InputError(
            f"algorithm {recipe.algorithm!r} trains a critic, which the estimate does not know; plan without"
        )
    given = _options(recipe)
    micro, accumulation = given["per_device_train_batch_size"], given["gradient_accumulation_steps"]
    per_generation = _per_generation(given, micro * reference_gpus, accumulation)
    iterations = given["num_iterations"]
    updates = per_generation * iterations / accumulation
    vllm = given["use_vllm"]
    generator = given["vllm_mode"] if vllm else "transformers"
    if server_gpus is not None and generator != "server":
        raise InputError(
            f"server_gpus={server_gpus} are for a vLLM server, but this recipe generates with "
            f"{'vLLM on the training GPUs' if vllm else 'transformers'}; add --use_vllm --vllm_mode server, "
            "or leave --server_gpus out"
        )
    longest = given["max_completion_length"]
    if mean is not None and not 0 < mean <= longest:
        raise InputError(f"mean length {mean:g} must be above 0 and at most {longest}, the longest allowed")
    corrected = vllm and given.get("vllm_importance_sampling_correction", False)  # RLOO has no such option
    several = accumulation % (per_generation * iterations) != 0
    return Workload(
        gpus=gpus,
        server_gpus=(server_gpus or gpus) if generator == "server" else 0,
        completions=micro * reference_gpus * per_generation,
        group=given["num_generations"],
        micro_batch=micro,
        accumulation=_spread(accumulation, reference_gpus, gpus, micro),
        per_generation=_spread(per_generation, reference_gpus, gpus, micro),
        iterations=iterations,
        batches=given["max_steps"] / updates,
        longest=longest,
        mean=MEAN_SHARE * longest if mean is None else mean,
        weight_bytes=2 if given.get("dtype") in ("bfloat16", "float16") else 4,
        checkpointing=given["gradient_checkpointing"],
        scored=several or corrected or trainer == "RLOO",  # RLOO needs them for its ratio, whatever the steps
        reference=given["beta"] != 0,
        generator=generator,
        vllm_share=given["vllm_gpu_memory_utilization"],
        sleeps=given["vllm_enable_sleep_mode"],
    )


def _options(recipe: Recipe) -> Mapping[str, Any]:
    """Return the recipe's options over the defaults of its trainer.

    Raises:
        InputError: for a number out of range, an option that the estimate does not know, or a run of unknown
            length.
    """
    check_numbers(recipe.trainer)
    _, config = classes(recipe.algorithm)
    usual = {f.name: f.default for f in fields(config) if f.default is not MISSING}
    room = completion_room(load_task(recipe.task), made=recipe.made)  # as in `aent train`
    given = {**usual, "max_completion_length": room, **recipe.trainer}
    for name, known in KNOWN.items():
        if (value := given.get(name, known[0])) not in known:
            raise InputError(
                f"{name}={value} changes the memory, and the estimate knows only "
                f"{' or '.join(map(str, known))}; plan without {name}"
            )
    if given["max_steps"] <= 0:
        raise InputError("the recipe has no max_steps, so its length is unknown; give --max_steps")
    return given


def _per_generation(given: Mapping[str, Any], batch: int, accumulation: int) -> int:
    if given["generation_batch_size"] is not None:
        return max(1, given["generation_batch_size"] // batch)
    return given["steps_per_generation"] or accumulation


def _spread(passes: int, reference_gpus: int, gpus: int, micro: int) -> int:
    """Return the passes per GPU that give the same batch on another number of GPUs."""
    if passes * reference_gpus % gpus:
        raise InputError(
            f"{passes} passes of {micro} completions on {reference_gpus} GPUs cannot be spread evenly over "
            f"{gpus}; give a number of GPUs that divides {passes * reference_gpus}"
        )
    return passes * reference_gpus // gpus
