"""A calibration from end to end: refuse what it does not know, sample, measure, and print the settings."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from aent.calibration.block import aent_block
from aent.calibration.reading import SUBSETS, Reading
from aent.calibration.rollouts import readings, rollouts, training_rows
from aent.calibration.table import CAPTION, readings_table
from aent.calibration.verdict import verdict
from aent.errors import InputError, unknown
from aent.policies.load import load_model, loading_options
from aent.policies.sampling import Sampling
from aent.progress import counter, hush, progress_bar
from aent.records import write
from aent.runs.recipe import whole_yaml
from aent.spec import dump_yaml, take_section
from aent.training.prepare import prepare, read_request
from aent.training.run import Run

DEFAULT_PROMPTS, DEFAULT_SUBSET = 128, "drop-33"
PROMPTS_ON_A_CPU = 16
"""For a pretrained model on a CPU, so that it takes minutes."""
BATCH = 128
"""Completions of a pretrained model that are sampled at a time, at least. A CPU spends most of a step on
reading the weights, and a larger batch reads them less often."""
ALGORITHMS = ("grpo", "cispo")
MEANS = ("dapo", "bnpo", "cispo")
"""Loss types that weigh every token of a batch alike."""
DRAWN_WITHOUT = {"min_p": None, "repetition_penalty": 1.0, "generation_kwargs": None}
"""Options of TRL that rollouts for a calibration are drawn without, and their values there."""


def calibrate(
    flags: Sequence[str],
    *,
    prompts: int | None = None,
    samples: int | None = None,
    subset: str = DEFAULT_SUBSET,
    output: Path | None = None,
    console: Console | None = None,
) -> None:
    """Measure the policy of a recipe, and print its figures and the settings that follow.

    Args:
        flags: a recipe and flags, as for ``aent train``.
        prompts: training problems; `DEFAULT_PROMPTS` if None, or `PROMPTS_ON_A_CPU`.
        samples: completions of each; the recipe's ``num_generations`` if None.
        subset: the name in `SUBSETS` of the subset that the settings are for.
        output: new file for the settings, as the ``method`` section of a recipe.
        console: where it prints.

    Raises:
        InputError: for a mistake in the arguments, options whose coefficients would have another unit, or if
            no settings follow (see `aent.calibration.block.aent_block`).
    """
    if subset not in SUBSETS:
        raise unknown("subset", subset, SUBSETS)
    if output is not None and (output.exists() or not output.absolute().parent.is_dir()):
        raise InputError(f"--output {output} must be a new file in a folder that exists")
    measured, _ = take_section(flags, "evaluation", {})  # it is for the training that follows
    run = prepare(read_request([*measured, "--evaluation", "null", "--use_vllm", "false"]))
    check_options(run)
    console = console or run.console
    few = not run.recipe.made and not torch.cuda.is_available()
    prompts = prompts or (PROMPTS_ON_A_CPU if few else DEFAULT_PROMPTS)
    figures = measure(run, prompts, samples or run.args.num_generations, console)
    for part in (readings_table(figures), CAPTION, *verdict(figures, subset)):
        console.print(part, highlight=False, soft_wrap=True)
    block = aent_block(figures[subset], SUBSETS[subset])
    for line in advice(block, flags):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if output is not None:
        write(output, whole_yaml("The method section of a recipe.", {"method": dict(block)}))


def check_options(run: Run) -> None:
    """Check that the coefficients will have the unit, and the completions, of the training that is measured.

    Raises:
        InputError: for an algorithm or options that weigh tokens or completions differently, or that draw
            others.
    """
    allowed = {"loss_type": MEANS, "scale_rewards": ("group",), "mask_truncated_completions": (False,)}
    if run.recipe.algorithm not in ALGORITHMS or any(
        getattr(run.args, name) not in values for name, values in allowed.items()
    ):
        raise InputError(
            f"calibrate knows GRPO's advantages with a mean over tokens ({', '.join(ALGORITHMS)}; loss_type "
            f"{', '.join(MEANS)}; scale_rewards group; no masked completions); with {run.recipe.algorithm} "
            "and these options the coefficients would have another unit. Use --method aent-auto, which needs "
            "no calibration"
        )
    for name, usual in DRAWN_WITHOUT.items():
        if (value := getattr(run.args, name)) != usual:
            raise InputError(
                f"{name}={value} changes which completions the training draws, and calibrate does not draw "
                f"them so: it knows temperature, top_p and top_k. Leave {name} out, or use --method "
                "aent-auto, which needs no calibration"
            )


def measure(run: Run, prompts: int, samples: int, console: Console) -> dict[str, Reading]:
    """Sample from the policy of a run and read every subset of `SUBSETS`.

    Raises:
        InputError: for settings that cannot be sampled with, or a task with fewer training problems.
    """
    args, batch = run.args, run.args.per_device_train_batch_size
    sampling = Sampling(  # checked before a policy is made
        samples=samples,
        temperature=args.temperature,
        top_p=args.top_p,
        top_k=args.top_k,
        max_tokens=args.max_completion_length,
        batch_size=batch if run.recipe.made else max(BATCH, batch),
        seed=args.seed,
    )
    rows = training_rows(run.task, prompts, args.seed)
    path = run.policy_path()
    if Path(path).exists():
        hush()
    model = load_model(path, **loading_options(run.recipe.trainer))
    with progress_bar(console) as bar:
        rewards, sums = rollouts(
            *model, run.task, rows, sampling, list(SUBSETS.values()), progress=counter(bar, "sampling")
        )
    return readings(rewards, sums, list(SUBSETS))


def advice(block: Mapping[str, Any], flags: Sequence[str]) -> list[str]:
    """Return the settings as YAML and as a command, what they should do, and the command without settings."""
    flow = dump_yaml(dict(block), flow=True).strip()
    others, _ = take_section(flags, "method", {})  # its fields would win over those of the block
    command = ["aent", "train", *others, "--method"]
    return [
        f"Predicted with this block: {block['low']} to {block['high']} nats per token, as means over ten "
        "steps, after the first 20.\n",
        _section(block),
        shlex.join([*command, flow]),
        "\nWith nothing to set:\n",
        shlex.join([*command, "aent-auto"]),
    ]


def _section(block: Mapping[str, Any]) -> str:
    return dump_yaml({"method": dict(block)})
