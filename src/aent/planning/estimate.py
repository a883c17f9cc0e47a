"""A recipe on some GPUs: sizes, workload, and the rows that are printed of them."""

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
"""Where PEFT puts an adapter on Qwen2 and Llama when nothing is said."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a recipe needs on a number of GPUs."""

    model: str
    sizes: Sizes
    work: Workload
    written_for: int
    """GPUs that the recipe's own batch sizes are for."""
    paper: PaperRun | None

    @property
    def flags(self) -> str:
        """What to add to the command for this number of GPUs; empty where nothing is."""
        if self.work.gpus == self.written_for:
            return ""
        accumulation, per_generation = self.work.accumulation, self.work.per_generation
        return f"--gradient_accumulation_steps {accumulation} --steps_per_generation {per_generation}"

    def memory(self, gpu: GPU) -> dict[str, float]:
        """Bytes on one training GPU, item by item, and the most at a time."""
        return {
            **memory.states(self.sizes, self.work),
            **memory.step(self.sizes, self.work),
            **memory.generation(self.sizes, self.work, gpu),
            "overhead": OVERHEAD,
            "at most at a time": memory.peak(self.sizes, self.work, gpu),
        }

    def fits(self, gpu: GPU) -> bool:
        """Whether the training GPU has room, and vLLM for one sequence."""
        room = memory.peak(self.sizes, self.work, gpu) <= USABLE * gpu.memory
        return room and self.times(gpu).rollout < float("inf")

    def times(self, gpu: GPU) -> Times:
        """Seconds of one batch of rollouts."""
        return times(self.sizes, self.work, gpu)

    def gpu_hours(self, gpu: GPU) -> float:
        """Of the whole run, evaluations left out; GPUs of a server count too."""
        return self.work.batches * self.times(gpu).total * (self.work.gpus + self.work.server_gpus) / HOUR

    def update_gpu_hours(self, gpu: GPU, *, padded: bool) -> float:
        """Of the update on one batch of rollouts."""
        flops = update_flops(self.sizes, self.work, padded=padded)
        return flops / (gpu.flops * MODEL_FLOPS_UTILIZATION) / HOUR

    def sequences(self, gpu: GPU) -> int:
        """How many sequences vLLM holds at once on a card, at the mean length reached."""
        each = self.sizes.kv_bytes * (MEAN_PROMPT + self.work.mean)
        return max(0, int(memory.kv_room(self.sizes, self.work, gpu) / each))

    def checkpoint_bytes(self) -> float:
        """Of one checkpoint: what is trained, with AdamW's moments."""
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
        name: of the recipe; the paper's are written for the GPUs in `PAPER`, others for one.
        gpus: that train.
        server_gpus: of a vLLM server, where ``vllm_mode`` is ``server``; as many as train if not given.
        mean: tokens of a completion, in the mean.

    Raises:
        InputError: without a model, or for what the estimate does not know.
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
    """Return the kinds of card named in a list with commas; all without one.

    Raises:
        InputError: for an unknown kind.
    """
    if names is None:
        return dict(GPUS)
    for name in names.split(","):
        if name not in GPUS:
            raise unknown("GPU", name, GPUS)
    return {name: GPUS[name] for name in names.split(",")}
