"""``aent calibrate``: what a few rollouts say about a policy's entropy, and the settings that follow."""

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.box import SIMPLE_HEAD
from rich.table import Table

from aent.errors import InputError, unknown
from aent.spec import take_flags

if TYPE_CHECKING:
    from aent.calibration.reading import Reading
    from aent.policies.sampling import Progress
    from aent.statistics import Figure
    from aent.training.run import Run

OWN = ("model", "prompts", "samples", "subset", "output")
ALGORITHMS = ("grpo", "cispo")
MEANS = ("dapo", "bnpo", "cispo")
"""Loss types that weigh every token of a batch alike."""
CAPTION = (
    "entropy: nats per token. left out: probability outside the subset. pull, push: change of the entropy\n"
    "by the policy gradient and by a bonus of coefficient 1, per unit of step in the logits. hold: -pull /\n"
    "push, the coefficient that undoes the pull. ±: standard error over prompts.\n"
)
DEFAULT_PROMPTS, DEFAULT_SUBSET = 128, "drop-33"
HELP = f"""\
usage: aent calibrate [RECIPE] [FLAGS]
       aent calibrate --model M --task T [FLAGS]

Sample a few rollouts and print what a policy's entropy is over several subsets, what moves it, and the method
block that follows: subset, band and range of the coefficient, for a recipe's method section or aent train.

RECIPE              whose policy, task and settings are measured (default countdown)
--model M           a transformers folder, a PEFT adapter or a hub id, in the place of the recipe's policy
--task NAME         the task; its fields as --task.numbers 4
--prompts N         training problems (default {DEFAULT_PROMPTS})
--samples N         completions of each, at least 2 (default: the recipe's num_generations)
--subset NAME       the row of the table that the block is made of (default {DEFAULT_SUBSET})
--temperature T     of training (default: the recipe's)
--seed N            of problems and draws (default: the recipe's)
--output FILE       write the block there, as YAML
--FLAG V            any other flag of aent train
"""


def main(argv: Sequence[str]) -> int:
    """Sample, measure, print the table and the block."""
    if "-h" in argv or "--help" in argv:
        print(HELP, end="")
        return 0
    from aent.calibration.block import aent_block
    from aent.calibration.reading import SUBSETS

    own, rest = take_flags(argv, OWN)
    subset = own.get("subset", DEFAULT_SUBSET)
    if subset not in SUBSETS:
        raise unknown("subset", subset, SUBSETS)
    output = _free(own.get("output"))
    flags = _flags(own.get("model"), rest)
    run = _prepared(flags)
    prompts = _whole("prompts", own.get("prompts", str(DEFAULT_PROMPTS)))
    samples = _whole("samples", own.get("samples", str(run.args.num_generations)))
    found = _measured(run, prompts, samples)
    for part in (_table(found), CAPTION):
        run.console.print(part, highlight=False, soft_wrap=True)
    block = aent_block(found[subset], SUBSETS[subset])
    for line in _advice(block, flags):
        run.console.print(line, highlight=False, markup=False, soft_wrap=True)
    if output is not None:
        output.write_text(_section(block), "utf-8")
    return 0


def _free(name: str | None) -> Path | None:
    """Return where the block is written; asked before anything is sampled."""
    if name is None:
        return None
    path = Path(name)
    if path.exists() or not path.absolute().parent.is_dir():
        raise InputError(f"--output {name} must be a new file in a folder that exists")
    return path


def _flags(model: str | None, rest: Sequence[str]) -> list[str]:
    """Return the command line of `aent train` that trains what is measured."""
    if model is None:
        return list(rest)
    named = bool(rest) and not rest[0].startswith("-")
    if not named and not any(word.partition("=")[0] == "--task" for word in rest):
        raise InputError("no task: give --task NAME, for instance --task countdown, or a recipe")
    return [*rest, "--model_name_or_path", model]


def _prepared(flags: Sequence[str]) -> "Run":
    from aent.training.prepare import prepared

    run, _, _ = prepared([*flags, "--evaluation", "null", "--use_vllm", "false"])
    usual = {"loss_type": MEANS, "scale_rewards": ("group",), "mask_truncated_completions": (False,)}
    if run.recipe.algorithm not in ALGORITHMS or any(
        getattr(run.args, name) not in allowed for name, allowed in usual.items()
    ):
        raise InputError(
            f"calibrate knows GRPO's advantages with a mean over tokens ({', '.join(ALGORITHMS)}; loss_type "
            f"{', '.join(MEANS)}; scale_rewards group; no masked completions); with {run.recipe.algorithm} "
            "and these options the coefficients would have another unit. Use --method aent-auto, which needs "
            "no calibration"
        )
    return run


def _whole(flag: str, given: str) -> int:
    if not given.isdigit() or int(given) < 2:
        raise InputError(f"--{flag} {given} must be a whole number of at least 2")
    return int(given)


def _measured(run: "Run", prompts: int, samples: int) -> "dict[str, Reading]":
    from aent.calibration.reading import SUBSETS
    from aent.calibration.rollouts import readings, rollouts, training_rows
    from aent.policies.load import load_model, loading_options
    from aent.policies.sampling import check_sampling
    from aent.progress import hush, progress_bar

    args = run.args
    drawing = {
        "samples": samples,
        "temperature": args.temperature,
        "top_p": args.top_p,
        "top_k": args.top_k,
        "max_tokens": args.max_completion_length,
        "batch_size": args.per_device_train_batch_size,
        "seed": args.seed,
    }
    check_sampling(**drawing)  # before a policy is made
    rows = training_rows(run.task, prompts, args.seed)
    path = run.policy_path()
    if Path(path).exists():
        hush()
    model = load_model(path, **loading_options(run.recipe.trainer))
    with progress_bar(run.console) as bar:

        def shown(title: str) -> "Progress":
            task = bar.add_task(title, total=None)
            return lambda done, total: bar.update(task, completed=done, total=total)

        made, rewards = rollouts(*model, run.task, rows, progress=shown("sampling"), **drawing)
        asked = [row["prompt"] for row in rows]
        progress = shown("measuring")
        return readings(
            *model, asked, made, rewards, SUBSETS, temperature=args.temperature, progress=progress
        )


def _table(found: "Mapping[str, Reading]") -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("subset", "entropy", "left out, %", "pull x 1000", "push x 1000", "hold"):
        table.add_column(heading, justify="left" if heading == "subset" else "right", no_wrap=True)
    for name, each in found.items():
        figures = (each.entropy, 1), (each.dropped, 100), (each.pull, 1e3), (each.push, 1e3), (each.hold, 1)
        table.add_row(name, *(_shown(figure, scale) for figure, scale in figures))
    return table


def _shown(figure: "Figure", scale: float) -> str:
    """Show a figure to its third digit or the second of its error, whichever comes first, and 4 decimals."""
    value, error = figure.value * scale, figure.error * scale
    if error == 0 or value == 0:
        return f"{value:.3g}"
    digits = max(0, min(4, 1 - _magnitude(error), 2 - _magnitude(value)))
    return f"{value:.{digits}f}±{error:.{digits}f}"


def _magnitude(number: float) -> int:
    return math.floor(math.log10(abs(number)))


def _advice(block: Mapping[str, Any], flags: Sequence[str]) -> list[str]:
    flow = yaml.safe_dump(dict(block), sort_keys=False, default_flow_style=True, width=1000).strip()
    command = ["aent", "train", *flags, "--method"]
    return [
        f"Predicted with this block: {block['low']} to {block['high']} nats per token, in means over ten "
        "steps, after the first 20.\n",
        _section(block),
        shlex.join([*command, flow]),
        "\nWith nothing to set:\n",
        shlex.join([*command, "aent-auto"]),
    ]


def _section(block: Mapping[str, Any]) -> str:
    return yaml.safe_dump({"method": dict(block)}, sort_keys=False)
