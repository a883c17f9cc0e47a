"""A plan as lines and tables of text."""

from collections.abc import Mapping

from rich.table import Table

from aent.planning.constants import GPU, GPUS, PaperRun
from aent.planning.estimate import Plan
from aent.progress import whole

GB = 1e9


def summary_lines(plan: Plan) -> list[str]:
    """Describe the model, the GPUs and the batches of a plan."""
    sizes, work = plan.sizes, plan.work
    adapter = f", {sizes.adapter / 1e6:.1f}M of them in the adapter trained" if sizes.adapter else ""
    generators = {
        "transformers": "generating with transformers",
        "colocate": "generating with vLLM on the same GPUs",
        "server": f"and {work.server_gpus} for a vLLM server",
    }[work.generator]
    lines = [
        f"{plan.model}: {sizes.parameters / 1e9:.3f}B parameters{adapter}; "
        f"KV cache {sizes.kv_bytes / 1e3:.1f} kB per token",
        f"GPUs: {work.gpus} for training, {generators}",
        f"{work.batches:.0f} batches of rollouts: {work.completions // work.group} prompts x {work.group} "
        f"completions of {work.mean:.0f} tokens on average (an assumption without --mean_length), "
        f"at most {work.longest}",
    ]
    if plan.flags:
        lines.append(f"to keep these batches on {work.gpus} GPUs: {plan.flags}")
    return lines


def memory_table(plan: Plan, kinds: Mapping[str, GPU]) -> Table:
    """Return the memory of one training GPU in GB, item by item, for each kind of card.

    Print it with ``crop=False``, and `time_table` too.
    """
    table = Table("GB on a training GPU", title="memory")
    for kind in kinds:
        table.add_column(kind, justify="right")
    columns = [plan.memory(gpu) for gpu in kinds.values()]
    for item in columns[0]:
        last = item == list(columns[0])[-1]
        table.add_row(item, *(f"{c[item] / GB:.1f}" for c in columns), style="bold" if last else None)
    table.add_row("of", *(f"{gpu.memory / GB:.0f}" for gpu in kinds.values()))
    table.add_row("fits", *("yes" if plan.fits(gpu) else "no" for gpu in kinds.values()))
    table.caption = f"a checkpoint is {plan.checkpoint_bytes() / GB:.1f} GB"
    return whole(table)


def time_table(plan: Plan, kinds: Mapping[str, GPU]) -> Table:
    """Return the seconds of one batch of rollouts and the GPU-hours of the run, for each kind of card."""
    table = Table("one batch of rollouts", title="time")
    for kind in kinds:
        table.add_column(kind, justify="right")
    each = [plan.times(gpu) for gpu in kinds.values()]
    for name in ("rollout", "scoring", "update", "total"):
        table.add_row(f"{name}, s", *(_rounded(getattr(t, name)) for t in each))
    if plan.work.generator != "transformers":
        table.add_row("sequences at once per vLLM", *(str(plan.sequences(gpu)) for gpu in kinds.values()))
    table.add_row("whole run, GPU-hours", *(_rounded(plan.gpu_hours(gpu)) for gpu in kinds.values()))
    return whole(table)


def _rounded(value: float) -> str:
    """Return a number without decimals, or with two digits where that would leave one or none."""
    if value == float("inf"):
        return "-"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def paper_lines(plan: Plan, paper: PaperRun) -> list[str]:
    """Compare a plan with what the paper reports of the same run."""
    if paper.grpo is None or paper.aent is None:
        return ["The paper's cost of this run is in no source we could read."]
    lines = [
        f"The paper, A100: {paper.grpo:g} GPU-hours of GRPO to its best score, "
        f"{paper.aent:g} of AEnt to the same ({paper.aent / paper.grpo - 1:+.0%})."
    ]
    if paper.grpo_update is not None:
        a100 = GPUS["a100-80g"]
        ours = [plan.update_gpu_hours(a100, padded=padded) for padded in (False, True)]
        lines.append(
            f"Update on one batch of rollouts, GPU-hours: paper GRPO {paper.grpo_update:g}, AEnt "
            f"{paper.aent_update:g}; this model on A100 {ours[0]:.3f} without padding, as verl, "
            f"and {ours[1]:.3f} with TRL's."
        )
    return lines
