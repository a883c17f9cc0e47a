"""``aent train``: a recipe, with any of its settings and any flag of TRL overridden."""

import shutil
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from aent.algorithms import ALGORITHMS
from aent.errors import InputError
from aent.methods.load import METHODS
from aent.runs.folder import RunFolder
from aent.runs.recipe import recipe_names
from aent.tasks import TASKS
from aent.training.prepare import DEFAULT_RECIPE, flags_of, host_parser, prepared, run_of
from aent.training.run import Interrupted, Run

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


def _fresh(argv: Sequence[str]) -> tuple[Run, RunFolder]:
    run, path, stem = prepared(argv)
    made = _on_main(lambda: RunFolder.create(path, stem, run.recipe).path)
    return run_of(run.recipe, made), RunFolder(made)


def _resumed(argv: Sequence[str]) -> tuple[Run, RunFolder]:
    words = [part for word in argv for part in word.split("=", 1)]
    if len(words) != 2 or words[0] != "--resume":
        raise InputError(
            "--resume takes a run folder and nothing beside it: the run goes on as it was configured. "
            "Give: aent train --resume RUN_FOLDER"
        )
    folder = RunFolder.open(Path(words[1]))
    return run_of(folder.recipe, folder.path), folder


def _host_flags() -> str:
    width = shutil.get_terminal_size().columns

    def listed(flags: Iterable[str]) -> str:
        return textwrap.indent(textwrap.fill(" ".join(flags), width - 4), "  ")

    common, with_critic = flags_of(host_parser("grpo")), flags_of(host_parser("ppo"))
    critic = sorted({*with_critic} - {*common})
    return f"{listed(common)}\nwith a critic (ppo, a2c) also:\n{listed(critic)}"


def _on_main(make: Any) -> Path:
    """Let the main process make the run folder and tell the others its name."""
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    made = [make() if PartialState().is_main_process else None]
    return broadcast_object_list(made)[0]  # type: ignore[index,return-value]
