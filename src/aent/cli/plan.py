"""``aent plan``: memory and time that a recipe needs on several kinds of GPU."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from aent.errors import InputError
from aent.planning.constants import GPU, GPUS, PAPER, PaperRun
from aent.spec import take_flags

if TYPE_CHECKING:
    from aent.planning.estimate import Plan

OWN = ("gpu", "gpus", "server_gpus", "mean_length")
GB = 1e9
HELP = f"""\
usage: aent plan RECIPE [--gpu {",".join(GPUS)}] [--gpus N] [FLAGS OF aent train]

Estimate what a recipe needs, per kind of GPU, from a stated model (docs/recipes.md). Nothing is run, and for
the recipes' own models nothing is downloaded.

--gpu KIND,...      kinds of card (default: all)
--gpus N            GPUs that train (default: those the recipe is written for); its batches are kept
--server_gpus N     GPUs of the vLLM server, with --vllm_mode server (default: as many as train)
--mean_length N     tokens of a completion in the mean; an assumption where you do not say
--model_name_or_path M   another model: a folder or a hub id
"""


def main(argv: Sequence[str]) -> int:
    """Print the estimate."""
    if not argv or argv[0] in ("-h", "--help") or argv[0].startswith("-"):
        print(HELP, end="")
        return 0 if "-h" in argv or "--help" in argv else 2
    from aent.planning.estimate import cards, plan
    from aent.training.prepare import described

    own, rest = take_flags(argv, OWN)
    recipe, _, name = described(rest)
    kinds = cards(own.get("gpu"))
    made = plan(
        name,
        recipe,
        gpus=_whole(own, "gpus"),
        server_gpus=_whole(own, "server_gpus"),
        mean=_whole(own, "mean_length"),
    )
    console = Console()
    for line in _about(made):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(_memory(made, kinds))
    console.print(_time(made, kinds))
    if name in PAPER:
        for line in _paper(made, PAPER[name]):
            console.print(line, highlight=False, soft_wrap=True)
    return 0


def _whole(own: dict[str, str], flag: str) -> int | None:
    if flag not in own:
        return None
    if not own[flag].isdigit() or int(own[flag]) < 1:
        raise InputError(f"--{flag} {own[flag]} must be a whole number of at least 1")
    return int(own[flag])


def _about(made: "Plan") -> list[str]:
    sizes, work = made.sizes, made.work
    adapter = f", {sizes.adapter / 1e6:.1f}M of them in the adapter trained" if sizes.adapter else ""
    where = {
        "transformers": "generating with transformers",
        "colocate": "generating with vLLM on the same GPUs",
        "server": f"and {work.server_gpus} for a vLLM server",
    }[work.generator]
    lines = [
        f"{made.model}: {sizes.parameters / 1e9:.3f}B parameters{adapter}; "
        f"KV cache {sizes.kv_bytes / 1e3:.1f} kB per token",
        f"GPUs: {work.gpus} for training, {where}",
        f"{work.batches:.0f} batches of rollouts: {work.completions // work.group} prompts x {work.group} "
        f"completions of {work.mean:.0f} tokens in the mean (assumed without --mean_length), "
        f"at most {work.longest}",
    ]
    if made.flags:
        lines.append(f"to keep these batches on {work.gpus} GPUs: {made.flags}")
    return lines


def _memory(made: "Plan", kinds: Mapping[str, GPU]) -> Table:
    table = Table("GB on a training GPU", title="memory")
    for kind in kinds:
        table.add_column(kind, justify="right")
    columns = [made.memory(gpu) for gpu in kinds.values()]
    for item in columns[0]:
        last = item == list(columns[0])[-1]
        table.add_row(item, *(f"{c[item] / GB:.1f}" for c in columns), style="bold" if last else None)
    table.add_row("of", *(f"{gpu.memory / GB:.0f}" for gpu in kinds.values()))
    table.add_row("fits", *("yes" if made.fits(gpu) else "no" for gpu in kinds.values()))
    table.caption = f"a checkpoint is {made.checkpoint_bytes() / GB:.1f} GB"
    return table


def _time(made: "Plan", kinds: Mapping[str, GPU]) -> Table:
    table = Table("one batch of rollouts", title="time")
    for kind in kinds:
        table.add_column(kind, justify="right")
    each = [made.times(gpu) for gpu in kinds.values()]
    for name in ("rollout", "scoring", "update", "total"):
        table.add_row(f"{name}, s", *(_seconds(getattr(t, name)) for t in each))
    if made.work.generator != "transformers":
        table.add_row("sequences at once per vLLM", *(str(made.sequences(gpu)) for gpu in kinds.values()))
    table.add_row("whole run, GPU-hours", *(_seconds(made.gpu_hours(gpu)) for gpu in kinds.values()))
    return table


def _seconds(value: float) -> str:
    return "-" if value == float("inf") else f"{value:,.0f}"


def _paper(made: "Plan", paper: PaperRun) -> list[str]:
    if paper.grpo is None or paper.aent is None:
        return ["The paper's cost of this run is in no source we could read."]
    lines = [
        f"The paper, A100: {paper.grpo:g} GPU-hours of GRPO to its best score, "
        f"{paper.aent:g} of AEnt to the same ({paper.aent / paper.grpo - 1:+.0%})."
    ]
    if paper.grpo_update is not None:
        a100 = GPUS["a100-80g"]
        ours = [made.update_gpu_hours(a100, padded=padded) for padded in (False, True)]
        lines.append(
            f"Update on one batch of rollouts, GPU-hours: paper GRPO {paper.grpo_update:g}, AEnt "
            f"{paper.aent_update:g}; this model on A100 {ours[0]:.3f} without padding, as verl, "
            f"and {ours[1]:.3f} with TRL's."
        )
    return lines
