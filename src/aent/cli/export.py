"""``aent export``: a recipe as a command of another trainer."""

import shlex
from collections.abc import Sequence

from aent.errors import unknown
from aent.spec import take_flags, whole_number

TARGETS = ("verl",)
HELP = """\
usage: aent export verl RECIPE [--gpus N] [--data FOLDER] [FLAGS OF aent train]

Print the command with which verl trains what a recipe describes (docs/verl.md), and what of the recipe
is not in it: options that verl lacks, or that depend on your cluster. Nothing is run, and verl need not be
installed.

--gpus N        GPUs of verl, and processes that the recipe runs on in TRL: its batches are per process
                (default: 1)
--data FOLDER   where train.parquet and test.parquet are, in verl's format (default: data)
"""


def main(argv: Sequence[str]) -> int:
    """Print the command."""
    if not argv or argv[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0 if argv else 2
    if argv[0] not in TARGETS:
        raise unknown("target", argv[0], TARGETS)
    own, rest = take_flags(argv[1:], ("gpus", "data"))
    asked = "-h" in rest or "--help" in rest
    if not rest or asked or rest[0].startswith("-"):
        print(HELP, end="")
        return 0 if asked else 2
    gpus = whole_number("--gpus", own["gpus"]) if "gpus" in own else 1
    from aent.training.prepare import read_request
    from aent.verl.export import export

    recipe = read_request(rest).recipe
    made = export(recipe.algorithm, recipe.method, recipe.trainer, gpus=gpus, data=own.get("data", "data"))
    lines = ["python -m verl.trainer.main_ppo", *(f"    {shlex.quote(option)}" for option in made.options)]
    print(" \\\n".join(lines))
    notes = [f"task={recipe.task['name']}: see docs/verl.md for prompts and rewards", *made.left_out]
    if recipe.made:
        with_critic = any(option.startswith("critic.model.") for option in made.options)
        paths = "actor_rollout_ref.model.path" + (" and critic.model.path" if with_critic else "")
        notes.append(f"policy: set {paths} to the folder of a model")
    for note in notes:
        print(f"# not carried over: {note}")
    return 0
