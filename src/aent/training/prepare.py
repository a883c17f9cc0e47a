"""A recipe with its flags: checked, and turned into the arguments of TRL's trainer."""

import argparse
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn, cast

from rich.console import Console

from aent.algorithms import with_options
from aent.errors import InputError, unknown
from aent.methods.load import load_method
from aent.runs.recipe import Recipe, load_recipe
from aent.spec import take_section
from aent.tasks import Task, completion_room, load_task
from aent.training.checks import check_numbers
from aent.training.run import Run
from aent.trl.algorithms import classes

DEFAULT_RECIPE = "countdown"
SECTIONS = ("method", "task", "policy", "evaluation")
OWN = ("algorithm", "resume", *SECTIONS)
"""The flags of ``aent train`` that are not TRL's."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a command line of ``aent train`` asks for."""

    recipe: Recipe
    """The recipe with the flags applied."""
    source: str
    """Name or path of the recipe, as given."""
    output_dir: Path | None
    """The run folder; None for the next free one."""

    @property
    def stem(self) -> str:
        """A name for the run folder: recipe, algorithm where it is not the recipe's own, method."""
        algorithm = self.recipe.algorithm
        changed = "" if algorithm == load_recipe(self.source).algorithm else f"{algorithm}-"
        return f"{Path(self.source).stem}-{changed}{self.recipe.method['name']}"


def read_request(argv: Sequence[str]) -> Request:
    """Read the words after ``aent train``: a recipe (default `DEFAULT_RECIPE`) and flags, which win over it.

    Raises:
        InputError: for an unknown recipe, section or flag.
    """
    named = bool(argv) and not argv[0].startswith("-")
    source, rest = (argv[0], list(argv[1:])) if named else (DEFAULT_RECIPE, list(argv))
    recipe = load_recipe(source)
    rest, algorithm = take_section(rest, "algorithm", recipe.algorithm)
    recipe = replace(recipe, algorithm=_name(algorithm))
    for section in SECTIONS:
        rest, value = take_section(rest, section, getattr(recipe, section))
        recipe = replace(recipe, **{section: value})
    settings = _settings(recipe, rest)
    for name in ("model_name_or_path", "output_dir"):
        if settings.get(name) == "":
            raise InputError(f"--{name} is empty; give a value, or leave the flag out")
    if settings.get("resume_from_checkpoint") is not None:
        raise InputError(
            "--resume_from_checkpoint does nothing here: aent train --resume RUN_FOLDER continues a run from "
            "its last checkpoint"
        )
    path = Path(settings.pop("output_dir")) if "output_dir" in settings else None
    return Request(recipe=replace(recipe, trainer=settings), source=source, output_dir=path)


def prepare(request: Request) -> Run:
    """Return the run that is asked for; everything that can be checked beforehand is, and nothing is written.

    Raises:
        InputError: for a mistake in recipe or flags.
    """
    run = build_run(request.recipe, request.output_dir or Path("runs") / request.stem)
    run.check()
    return run


def build_run(recipe: Recipe, folder: Path) -> Run:
    """Return the run of a recipe, ready to start in a folder; `prepare` also checks it.

    Raises:
        InputError: for an unknown method, task or option, and what TRL says against the options.
    """
    load_method(recipe.method)  # a cheap check before the costly ones
    task = load_task(recipe.task)
    args, model_args = _parse(recipe, folder, task)
    console = Console(quiet=int(os.environ.get("RANK", "0")) != 0)  # only the main process prints
    return Run(recipe, args, model_args, task, console)


def _parse(recipe: Recipe, folder: Path, task: Task) -> tuple[Any, Any]:
    """Turn the recipe's trainer section into TRL's configuration objects."""
    settings = dict(_defaults(recipe, task)) | with_options(recipe.algorithm, recipe.trainer)
    settings["output_dir"] = str(folder)
    check_numbers(settings)
    try:
        return _host_parser(recipe.algorithm).parse_dict(settings)
    except InputError:
        raise
    except (ValueError, TypeError) as error:  # TRL's own checks of its options
        raise InputError(f"TRL refuses these options: {error}") from error


def _defaults(recipe: Recipe, task: Task) -> Mapping[str, Any]:
    """What aent sets if neither recipe nor flag does."""
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
    parser = _host_parser(recipe.algorithm)
    for action in parser._actions:
        action.default, action.required = argparse.SUPPRESS, False
    known = _flags(parser)
    words = [w for key, value in recipe.trainer.items() for w in _as_flag(key, value)]
    for word in (*words, *argv):
        flag = word.partition("=")[0].removeprefix("--")
        if word.startswith("--") and flag.replace("-", "_") not in known:
            raise unknown(
                "flag",
                f"--{flag}",
                (f"--{name}" for name in {*known, *OWN} - {"aent_method"}),
                "aent train --help explains aent's and says where TRL's are documented.",
                nearest=3,
            )
    if any(w.startswith("--aent_method") for w in words + list(argv)):
        raise InputError("--aent_method is for TRL scripts; here give --method NAME and --method.ARGUMENT V")
    parsed, left = parser.parse_known_args([*words, *argv])
    if left:
        raise InputError(
            f"{' '.join(left)!r} belongs to no flag; a recipe comes first: aent train RECIPE --flags"
        )
    return _as_written(vars(parsed), [*words, *argv])


def _as_written(settings: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """Return whole numbers as such where they were written so: TRL reads ``--warmup_steps 10`` as 10.0."""
    parts = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    texts = {flag.removeprefix("--").replace("-", "_"): text for flag, text in pairwise(parts)}
    return {
        name: int(value) if isinstance(value, float) and re.fullmatch(r"[-+]?\d+", texts[name]) else value
        for name, value in settings.items()
    }


def _as_flag(key: str, value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        return [f"--{key}", json.dumps(value)]
    values = value if isinstance(value, list) else [value]
    return [f"--{key}", *(str(v) for v in values)]


def _host_parser(algorithm: str) -> Any:
    from trl import ModelConfig, TrlParser

    _, config = classes(algorithm)
    parser: Any = TrlParser(cast(Any, [config, ModelConfig]))
    parser.error = _refuse  # argparse would print its whole usage, which is long here
    return parser


def _refuse(message: str) -> NoReturn:
    raise InputError(f"{message}. aent train --help says where the flags are documented")


def _flags(parser: Any) -> list[str]:
    options = (o for action in parser._actions for o in action.option_strings)
    return sorted({o.removeprefix("--").replace("-", "_") for o in options if o.startswith("--")})


def _name(section: Any) -> str:
    """Return an algorithm's name; its options are flags of their own."""
    if not isinstance(section, Mapping):
        return str(section)
    for option, value in section.items():
        if option != "name":
            raise InputError(f"--algorithm.{option} {value} is no flag; give --{option} {value}")
    return section["name"]
