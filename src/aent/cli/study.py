"""``aent study``: the paper's synthetic experiment and its propositions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from aent.errors import unknown
from aent.study.settings import SEEDS, WORLD, World

HELP = """\
usage: aent study mdp|theory [--help] [FLAGS]

  mdp      100,000 actions, 25 states: no bonus, entropy bonus, clamped entropy, and others
  theory   the paper's two propositions on random MDPs, by enumeration
"""


@dataclass(frozen=True, kw_only=True)
class Mdp:
    """The paper's synthetic experiment. Finished runs are kept and not repeated, also after Ctrl-C."""

    output: Path = Path("runs/study-mdp")
    """Folder: runs.jsonl, results.json, results.csv and the figures."""
    seeds: tuple[int, ...] = SEEDS
    """Seeds of the results; each trains 25 states."""
    full: bool = False
    """Also vary the size of the vocabulary and every setting, on the first two seeds."""
    search: bool = False
    """Only repeat the search for the settings, on its own seeds."""
    workers: int = 2
    """Processes."""
    world: World = WORLD
    """The settings; the defaults are those of aent/study/settings.py."""


@dataclass(frozen=True, kw_only=True)
class Theory:
    """Both propositions on random MDPs; a violation is printed and the exit code is then 1."""

    output: Path = Path("runs/study-theory")
    """Folder: cases.csv, results.json and study-theory.png."""
    seeds: tuple[int, ...] = (0, 1)
    """Seeds; each draws 1,000 MDPs."""
    full: bool = False
    """Ten times as many seeds, counted on from the last one."""


def main(argv: Sequence[str]) -> int:
    """Run one of the two studies."""
    if not argv or argv[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0 if argv else 2
    if argv[0] == "mdp":
        return _mdp(tyro.cli(Mdp, args=argv[1:], prog="aent study mdp"))
    if argv[0] == "theory":
        return _theory(tyro.cli(Theory, args=argv[1:], prog="aent study theory"))
    raise unknown("study", argv[0], ("mdp", "theory"))


def _mdp(options: Mdp) -> int:
    from aent.study.experiments import compare_methods, repeat_search

    folder, workers, console = options.output, options.workers, _console()
    if options.search:
        repeat_search(folder=folder, workers=workers, console=console)
    else:
        compare_methods(
            options.world, options.seeds, folder=folder, full=options.full, workers=workers, console=console
        )
    return 0


def _theory(options: Theory) -> int:
    from aent.study.experiments import check_propositions

    violations = check_propositions(
        options.seeds, folder=options.output, full=options.full, console=_console()
    )
    return 1 if violations else 0


def _console() -> Console:
    """Return the terminal; where the output goes elsewhere, a console wide enough for the tables."""
    console = Console()
    return console if console.is_terminal else Console(width=120)
