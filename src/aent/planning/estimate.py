"""What a recipe needs on a number of GPUs, from the sizes of its model and its workload."""

from collections.abc import Sequence
from dataclasses import dataclass

from aent.errors import InputError, unknown
from aent.planning import memory
from aent.planning.constants import (
    GPU,
    GPUS,
    MEAN_PROMPT,
    MODEL_FLOPS_UTILIZATION,
    OVERHEAD,
    PAPER,
    USABLE,
    PaperRun,
)
from aent.planning.model import Sizes, count, load_config
from aent.planning.timing import Times, times, update_flops
from aent.planning.workload import Workload, workload
from aent.runs.recipe import Recipe

HOUR = 3600.0
DEFAULT_TARGETS = ("q_proj", "v_proj")
"""The layers of Qwen2 and Llama that PEFT adapts by default."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a recipe needs on a number of GPUs."""

    model: str
    sizes: Sizes
    work: Workload
    written_for: int
    """The number of GPUs that the recipe's own batch sizes are for."""
    paper: PaperRun | None

    @property
    def flags(self) -> str:
        """The flags that keep the batches on this number of GPUs; empty if none are needed."""
        if self.work.gpus == self.written_for:
            return ""
        accumulation, per_generation = self.work.accumulation, self.work.per_generation
        return f"--gradient_accumulation_steps {accumulation} --steps_per_generation {per_generation}"

    def memory(self, gpu: GPU) -> dict[str, float]:
        """Return the bytes on one training GPU, item by item, and the most that is held at a time."""
        return {
            **memory.states(self.sizes, self.work),
            **memory.step(self.sizes, self.work),
            **memory.generation(self.sizes, self.work, gpu),
            "overhead": OVERHEAD,
            "at most at a time": memory.peak(self.sizes, self.work, gpu),
        }

    def fits(self, gpu: GPU) -> bool:
        """Whether a training GPU has enough memory, and vLLM enough for one sequence."""
        room = memory.peak(self.sizes, self.work, gpu) <= USABLE * gpu.memory
        return room and self.times(gpu).rollout < float("inf")

    def times(self, gpu: GPU) -> Times:
        """Return the seconds of one batch of rollouts."""
        return times(self.sizes, self.work, gpu)

    def gpu_hours(self, gpu: GPU) -> float:
        """Return the GPU-hours of the whole run without evaluations; the GPUs of a server count too."""
        return self.work.batches * self.times(gpu).total * (self.work.gpus + self.work.server_gpus) / HOUR

    def update_gpu_hours(self, gpu: GPU, *, padded: bool) -> float:
        """Return the GPU-hours of the update on one batch of rollouts."""
        flops = update_flops(self.sizes, self.work, padded=padded)
        return flops / (gpu.flops * MODEL_FLOPS_UTILIZATION) / HOUR

    def sequences(self, gpu: GPU) -> int:
        """Return how many sequences of the mean length vLLM holds at once on a card."""
        each = self.sizes.kv_bytes * (MEAN_PROMPT + self.work.mean)
        return max(0, int(memory.kv_room(self.sizes, self.work, gpu) / each))

    def checkpoint_bytes(self) -> float:
        """Return the bytes of one checkpoint: the trained weights with AdamW's moments."""
        trained = self.sizes.adapter or self.sizes.parameters
        return 3 * trained * self.work.weight_bytes


def plan(
    name: str,
    recipe: Recipe,
    *,
    gpus: int | None = None,
    server_gpus: int | None = None,
    mean: float | None = None,
) -> Plan:
    """Estimate a recipe.

    Args:
        name: name of the recipe; the paper's are written for the GPUs in `PAPER`, others for one.
        recipe: the recipe, flags included.
        gpus: number of GPUs that train.
        server_gpus: number of GPUs of a vLLM server, if ``vllm_mode`` is ``server``; by default as many as
            train.
        mean: mean length of a completion in tokens.

    Raises:
        InputError: without a model, or for something that the estimate does not know.
    """
    model = recipe.trainer.get("model_name_or_path")
    if model is None:
        raise InputError(f"recipe {name!r} makes its own policy; give a model with --model_name_or_path")
    paper = PAPER.get(name)
    written_for = paper.gpus if paper else 1
    work = workload(
        recipe, reference_gpus=written_for, gpus=gpus or written_for, server_gpus=server_gpus, mean=mean
    )
    rank, targets = 0, DEFAULT_TARGETS
    if recipe.trainer.get("use_peft"):
        rank, targets = recipe.trainer.get("lora_r", 16), _targets(recipe.trainer.get("lora_target_modules"))
    sizes = count(load_config(model), rank, targets)
    return Plan(model=model, sizes=sizes, work=work, written_for=written_for, paper=paper)


def _targets(given: str | Sequence[str] | None) -> tuple[str, ...]:
    if given is None:
        return DEFAULT_TARGETS
    names = (given,) if isinstance(given, str) else tuple(given)
    return ("",) if names == ("all-linear",) else names


def cards(names: str | None) -> dict[str, GPU]:
    """Return the kinds of card in a comma-separated list; all of them if it is None.

    Raises:
        InputError: for an unknown kind.
    """
    if names is None:
        return dict(GPUS)
    for name in names.split(","):
        if name not in GPUS:
            raise unknown("GPU", name, GPUS)
    return {name: GPUS[name] for name in names.split(",")}
