"""``aent train``: a recipe, with any of its settings and any flag of TRL overridden."""

import argparse
import json
import os
import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

from rich.console import Console

from aent.algorithms import ALGORITHMS, classes, with_options
from aent.cli.overrides import take_section
from aent.errors import InputError, unknown
from aent.experiments.folder import RunFolder
from aent.experiments.recipe import Recipe, load_recipe, recipe_names
from aent.methods import METHODS, load_method
from aent.tasks import TASKS, Task, completion_room, load_task

if TYPE_CHECKING:
    from aent.experiments.run import Run

DEFAULT_RECIPE = "countdown"
SECTIONS = ("method", "task", "policy", "evaluation")
OWN = ("algorithm", "resume", *SECTIONS)
HELP = f"""\
usage: aent train [RECIPE] [FLAGS]
       aent train --resume RUN_FOLDER

Train a policy with an entropy method; evaluate it before and after on unseen problems.

RECIPE              {", ".join(recipe_names())}, or the path of a YAML file (default {DEFAULT_RECIPE})
--method NAME       {", ".join(METHODS)}; its arguments as --method.low 0.2
--task NAME         {", ".join(TASKS)}; its fields as --task.numbers 4
--algorithm NAME    {", ".join(ALGORITHMS)}
--policy.FIELD V    the policy made from scratch: vocab_size, hidden_size, layers, demonstrations, ...
--evaluation.FIELD V  problems, samples, temperature, top_p, ...; --evaluation null leaves it out
--resume RUN        continue a run from its last checkpoint
--output_dir DIR    the run folder (default: the next free runs/RECIPE-METHOD-NNN)
--FLAG V            any flag of TRL's configuration for the algorithm, and of its ModelConfig:
"""


def main(argv: Sequence[str]) -> int:
    """Parse, then start or continue a run."""
    if "-h" in argv or "--help" in argv:
        print(HELP + _host_flags())
        return 0
    from aent.experiments.run import Interrupted

    run, folder = _resumed(argv) if any(w.partition("=")[0] == "--resume" for w in argv) else _fresh(argv)
    run.console.print(f"run folder: {folder.path}", highlight=False, soft_wrap=True)
    again = f"Continue with: aent train --resume {folder.path}"
    try:
        run.start(folder)
    except Interrupted as stop:
        run.console.print(str(stop), highlight=False, soft_wrap=True)
        return 130
    except KeyboardInterrupt:
        message = f"interrupted; what was done is kept. {again}"
        run.console.print(message, highlight=False, soft_wrap=True)
        return 130
    except OSError as error:
        raise InputError(f"{error}. What was written before is kept. {again}") from error
    return 0


def _fresh(argv: Sequence[str]) -> "tuple[Run, RunFolder]":
    run, path, stem = prepared(argv)
    made = _on_main(lambda: RunFolder.create(path, stem, run.recipe).path)
    return _run(run.recipe, made), RunFolder(made)


def prepared(argv: Sequence[str]) -> "tuple[Run, Path | None, str]":
    """Return the run that a command line describes, the folder it asks for, and a stem for its name.

    Everything that can be checked beforehand is; nothing is written.

    Raises:
        InputError: for a mistake in recipe or flags.
    """
    recipe, path, name = described(argv)
    other = "" if recipe.algorithm == load_recipe(name).algorithm else f"{recipe.algorithm}-"
    stem = f"{Path(name).stem}-{other}{recipe.method['name']}"
    run = _run(recipe, path or Path("runs") / stem)
    run.check()
    return run, path, stem


def described(argv: Sequence[str]) -> "tuple[Recipe, Path | None, str]":
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


def _resumed(argv: Sequence[str]) -> "tuple[Run, RunFolder]":
    words = [part for word in argv for part in word.split("=", 1)]
    if len(words) != 2 or words[0] != "--resume":
        raise InputError(
            "--resume takes a run folder and nothing beside it: the run goes on as it was configured. "
            "Give: aent train --resume RUN_FOLDER"
        )
    folder = RunFolder.open(Path(words[1]))
    return _run(folder.recipe, folder.path), folder


def _run(recipe: Recipe, folder: Path) -> "Run":
    from aent.experiments.run import Run

    load_method(recipe.method)  # a cheap check before the costly ones
    task = load_task(recipe.task)
    args, model_args = _parse(recipe, folder, task)
    return Run(recipe, args, model_args, task, _console())


def _parse(recipe: Recipe, folder: Path, task: Task) -> tuple[Any, Any]:
    """Turn the recipe's trainer section into TRL's configuration objects."""
    settings = dict(_defaults(recipe, task)) | with_options(recipe.algorithm, recipe.trainer)
    settings["output_dir"] = str(folder)
    parser = _host_parser(recipe.algorithm)
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
    parser = _host_parser(recipe.algorithm)
    for action in parser._actions:
        action.default, action.required = argparse.SUPPRESS, False
    known = _flags(parser)
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


def _host_parser(algorithm: str) -> Any:
    from trl import ModelConfig, TrlParser

    _, config = classes(algorithm)
    parser: Any = TrlParser(cast(Any, [config, ModelConfig]))
    parser.error = _refuse  # argparse would print its whole usage, which is long here
    return parser


def _refuse(message: str) -> NoReturn:
    raise InputError(f"{message}. aent train --help lists the flags")


def _flags(parser: Any) -> list[str]:
    options = (o for action in parser._actions for o in action.option_strings)
    return sorted({o.removeprefix("--").replace("-", "_") for o in options if o.startswith("--")})


def _host_flags() -> str:
    width = shutil.get_terminal_size().columns

    def listed(flags: Iterable[str]) -> str:
        return textwrap.indent(textwrap.fill(" ".join(flags), width - 4), "  ")

    common, with_critic = _flags(_host_parser("grpo")), _flags(_host_parser("ppo"))
    critic = sorted({*with_critic} - {*common})
    return f"{listed(common)}\nwith a critic (ppo, a2c) also:\n{listed(critic)}"


def _name(section: Any) -> str:
    return section["name"] if isinstance(section, Mapping) else str(section)


def _console() -> Console:
    """Speak on the main process only."""
    return Console(quiet=int(os.environ.get("RANK", "0")) != 0)


def _on_main(make: Any) -> Path:
    """Let the main process make the run folder and tell the others its name."""
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    made = [make() if PartialState().is_main_process else None]
    return broadcast_object_list(made)[0]  # type: ignore[index,return-value]
