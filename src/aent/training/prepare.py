"""A recipe with its flags: checked, and turned into the arguments of the host's trainer."""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, cast

from rich.console import Console

from aent.algorithms import with_options
from aent.errors import InputError, unknown
from aent.methods.load import load_method
from aent.runs.recipe import Recipe, load_recipe
from aent.spec import take_section
from aent.tasks import Task, completion_room, load_task
from aent.training.run import Run
from aent.trl.algorithms import classes

DEFAULT_RECIPE = "countdown"
SECTIONS = ("method", "task", "policy", "evaluation")
OWN = ("algorithm", "resume", *SECTIONS)


def prepared(argv: Sequence[str]) -> tuple[Run, Path | None, str]:
    """Return the run that a command line describes, the folder it asks for, and a stem for its name.

    Everything that can be checked beforehand is; nothing is written.

    Raises:
        InputError: for a mistake in recipe or flags.
    """
    recipe, path, name = described(argv)
    other = "" if recipe.algorithm == load_recipe(name).algorithm else f"{recipe.algorithm}-"
    stem = f"{Path(name).stem}-{other}{recipe.method['name']}"
    run = run_of(recipe, path or Path("runs") / stem)
    run.check()
    return run, path, stem


def described(argv: Sequence[str]) -> tuple[Recipe, Path | None, str]:
    """Return the recipe with its flags, the folder that is asked for, and the recipe's name or path.

    Raises:
        InputError: for an unknown recipe, section or flag.
    """
    named = bool(argv) and not argv[0].startswith("-")
    name, rest = (argv[0], list(argv[1:])) if named else (DEFAULT_RECIPE, list(argv))
    recipe = load_recipe(name)
    rest, algorithm = take_section(rest, "algorithm", recipe.algorithm)
    recipe = replace(recipe, algorithm=_name(algorithm))
    for section in SECTIONS:
        rest, value = take_section(rest, section, getattr(recipe, section))
        recipe = replace(recipe, **{section: value})
    settings = _settings(recipe, rest)
    path = Path(settings.pop("output_dir")) if "output_dir" in settings else None
    return replace(recipe, trainer=settings), path, name


def run_of(recipe: Recipe, folder: Path) -> Run:
    load_method(recipe.method)  # a cheap check before the costly ones
    task = load_task(recipe.task)
    args, model_args = _parse(recipe, folder, task)
    return Run(recipe, args, model_args, task, console())


def _parse(recipe: Recipe, folder: Path, task: Task) -> tuple[Any, Any]:
    """Turn the recipe's trainer section into TRL's configuration objects."""
    settings = dict(_defaults(recipe, task)) | with_options(recipe.algorithm, recipe.trainer)
    settings["output_dir"] = str(folder)
    parser = host_parser(recipe.algorithm)
    try:
        return parser.parse_dict(settings)
    except InputError:
        raise
    except (ValueError, TypeError) as error:  # TRL's own checks of its options
        raise InputError(f"TRL refuses these options: {error}") from error


def _defaults(recipe: Recipe, task: Task) -> Mapping[str, Any]:
    """What aent sets where neither recipe nor flag does."""
    import torch

    gpu = torch.cuda.is_available()
    return {
        "report_to": "none",
        "disable_tqdm": True,
        "bf16": gpu,
        "gradient_checkpointing": gpu,
        "dataloader_pin_memory": gpu,
        "logging_steps": 10,
        "max_completion_length": completion_room(task, made=recipe.made),
    }


def _settings(recipe: Recipe, argv: Sequence[str]) -> dict[str, Any]:
    """Read the recipe's trainer section and the flags through TRL's own parser; flags win."""
    parser = host_parser(recipe.algorithm)
    for action in parser._actions:
        action.default, action.required = argparse.SUPPRESS, False
    known = flags_of(parser)
    words = [w for key, value in recipe.trainer.items() for w in _as_flag(key, value)]
    for word in (*words, *argv):
        flag = word.partition("=")[0].removeprefix("--")
        if word.startswith("--") and flag.replace("-", "_") not in known:
            raise unknown("flag", f"--{flag}", (f"--{name}" for name in (*known, *OWN)))
    if any(w.startswith("--aent_method") for w in words + list(argv)):
        raise InputError("--aent_method is for TRL scripts; here give --method NAME and --method.ARGUMENT V")
    parsed, left = parser.parse_known_args([*words, *argv])
    if left:
        raise InputError(
            f"{' '.join(left)!r} belongs to no flag; a recipe comes first: aent train RECIPE --flags"
        )
    return vars(parsed)


def _as_flag(key: str, value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        return [f"--{key}", json.dumps(value)]
    values = value if isinstance(value, list) else [value]
    return [f"--{key}", *(str(v) for v in values)]


def host_parser(algorithm: str) -> Any:
    from trl import ModelConfig, TrlParser

    _, config = classes(algorithm)
    parser: Any = TrlParser(cast(Any, [config, ModelConfig]))
    parser.error = _refuse  # argparse would print its whole usage, which is long here
    return parser


def _refuse(message: str) -> NoReturn:
    raise InputError(f"{message}. aent train --help lists the flags")


def flags_of(parser: Any) -> list[str]:
    options = (o for action in parser._actions for o in action.option_strings)
    return sorted({o.removeprefix("--").replace("-", "_") for o in options if o.startswith("--")})


def _name(section: Any) -> str:
    return section["name"] if isinstance(section, Mapping) else str(section)


def console() -> Console:
    """Speak on the main process only."""
    return Console(quiet=int(os.environ.get("RANK", "0")) != 0)
