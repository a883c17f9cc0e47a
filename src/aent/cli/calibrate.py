"""``aent calibrate``: what a few rollouts say about a policy's entropy, and the settings that follow."""

from collections.abc import Sequence
from pathlib import Path

from aent.errors import InputError
from aent.spec import take_flags, whole_number

OWN = ("model", "prompts", "samples", "subset", "output")
HELP = """\
usage: aent calibrate [RECIPE] [FLAGS]
       aent calibrate --model M --task T [FLAGS]

Sample a few rollouts and print the entropy of a policy over several subsets, what moves it, whether the
subset and the paper's coefficient do anything, and the settings of the method aent that follow: subset, band,
and range of the coefficient. The settings are printed as the method section of a recipe and as a command.

RECIPE              whose policy, task and settings are measured (default countdown)
--model M           a transformers folder, a PEFT adapter or a hub id, instead of the recipe's policy
--task NAME         the task; its fields as --task.numbers 4
--prompts N         training problems (default 128; 16 for a pretrained model on a CPU)
--samples N         completions of each, at least 2 (default: the recipe's num_generations)
--subset NAME       the row of the table that the settings are for (default drop-33)
--temperature T     temperature of training (default: the recipe's)
--seed N            seed of the problems and of the sampling (default: the recipe's)
--output FILE       new YAML file for the settings
--FLAG V            any other flag of aent train
"""


def main(argv: Sequence[str]) -> int:
    """Sample, measure, and print the table and the settings."""
    if "-h" in argv or "--help" in argv:
        print(HELP, end="")
        return 0
    own, rest = take_flags(argv, OWN)
    numbers = {
        name: whole_number(f"--{name}", own[name], 2) for name in ("prompts", "samples") if name in own
    }
    flags = _flags(own.get("model"), rest)
    from aent.calibration.calibrate import DEFAULT_SUBSET, calibrate

    calibrate(
        flags,
        prompts=numbers.get("prompts"),
        samples=numbers.get("samples"),
        subset=own.get("subset", DEFAULT_SUBSET),
        output=Path(own["output"]) if "output" in own else None,
    )
    return 0


def _flags(model: str | None, rest: Sequence[str]) -> list[str]:
    """Return the flags of ``aent train`` that train the policy that is measured."""
    if model is None:
        return list(rest)
    named = bool(rest) and not rest[0].startswith("-")
    if not named and not any(word.partition("=")[0] == "--task" for word in rest):
        raise InputError("no task: give --task NAME, for instance --task countdown, or a recipe")
    return [*rest, "--model_name_or_path", model]
