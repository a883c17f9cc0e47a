"""``aent compare``: methods x algorithms x seeds on one recipe, with paired differences."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from aent.errors import InputError
from aent.runs.recipe import load_recipe
from aent.spec import take_flags, whole_number

if TYPE_CHECKING:
    from aent.runs.comparison import Comparison

HELP = """\
usage: aent compare RECIPE --methods A,B,... [--seeds 0-4] [FLAGS]

Train a recipe with each method, algorithm and seed, each run in its own process, and compare the results.
The same command resumes a comparison that was stopped; a finished run is never repeated.

--methods A,B,...   names, or the path of a YAML file: {label: {method: SPEC, flags: {learning_rate: 1e-4}}}
--baseline LABEL    the method that the others are compared with (default: none, else the first)
--algorithms A,...  (default: the recipe's)
--seeds LIST        for instance 0-4 or 0,1,7 (default 0-2)
--output_dir DIR    (default: runs/compare-RECIPE)
--jobs N            runs at a time (default: one per GPU, else one per core)
--FLAG V            any flag of aent train, for every run: --max_steps 100, --task.numbers 4, ...
"""
OWN = ("methods", "baseline", "algorithms", "seeds", "output_dir", "jobs")


def main(argv: Sequence[str]) -> int:
    """Do the missing runs, then print and write the comparison."""
    if "-h" in argv or "--help" in argv or not argv:
        print(HELP)
        return 0 if argv else 2
    if argv[0].startswith("-"):
        raise InputError("a recipe comes first: aent compare RECIPE --methods A,B")
    own, flags = take_flags(argv[1:], OWN)
    comparison = _comparison(argv[0], own, tuple(flags))
    count = whole_number("--jobs", own["jobs"]) if "jobs" in own else None
    path = Path(own.get("output_dir", f"runs/compare-{Path(argv[0]).stem}"))
    from aent.training.compare import compare

    return compare(comparison, path, Console(), count)


def _comparison(recipe: str, own: Mapping[str, str], flags: tuple[str, ...]) -> "Comparison":
    from aent.runs.comparison import Comparison, load_entrants

    if "methods" not in own:
        raise InputError("--methods is missing: give names, for instance --methods none,aent")
    entrants = load_entrants(own["methods"])
    algorithms = own.get("algorithms")
    return Comparison(
        recipe=recipe,
        entrants=entrants,
        algorithms=tuple(algorithms.split(",")) if algorithms else (load_recipe(recipe).algorithm,),
        seeds=_seeds(own.get("seeds", "0-2")),
        baseline=own.get("baseline", "none" if "none" in entrants else next(iter(entrants))),
        flags=flags,
    )


def _seeds(text: str) -> tuple[int, ...]:
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not _is_number(first) or (dash and not _is_number(last)):
            raise InputError(f"--seeds {text!r} is not a list such as 0-4 or 0,1,7")
        seeds += range(int(first), int(last if dash else first) + 1)
    return tuple(dict.fromkeys(seeds))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
