"""``aent study``: the paper's synthetic experiment and its propositions."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

from aent.errors import InputError, unknown
from aent.records import versions
from aent.study.settings import METHODS, SEARCH_SEEDS, SEEDS, SWEEP_SEEDS, WORLD, World

HELP = """\
usage: aent study mdp|theory [--help] [FLAGS]

  mdp      100,000 actions, 25 states: no bonus, entropy bonus, clamped entropy, and others
  theory   the paper's two propositions on random MDPs, by enumeration
"""
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Mdp:
    """The paper's synthetic experiment. Runs are kept and not repeated; Ctrl-C keeps what is done."""

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


def _mdp(arguments: Mdp) -> int:
    from aent.study import figures, plans
    from aent.study.runs import Runs, finish

    _check(arguments.seeds)
    if arguments.workers < 1:
        raise InputError(f"--workers {arguments.workers} must be at least 1: the number of processes")
    arguments.world.check()
    if clash := set(arguments.seeds) & set(SEARCH_SEEDS):
        raise InputError(f"seeds {sorted(clash)} were used to choose the settings; give others")
    folder, console = arguments.output, _console()
    runs = Runs(folder / "runs.jsonl")
    if arguments.search:
        return _search(runs, console, arguments.workers)
    seeds, world = arguments.seeds, arguments.world
    cells = plans.comparison(world)
    finish(plans.jobs(cells, seeds), runs, console, "comparison", arguments.workers)
    rows = [plans.row(runs, cell, seeds) for cell in cells]
    figures.draw_mdp(folder / "study-mdp.png", runs, cells, rows, seeds)
    console.print(_comparison(rows))
    verdicts = plans.verdicts(rows)
    for line in verdicts:
        console.print(line, highlight=False)
    sweeps = {"sensitivity": plans.sensitivity, "vocabulary": plans.vocabulary} if arguments.full else {}
    for name, sweep in sweeps.items():
        cells, fewer = sweep(world), seeds[:SWEEP_SEEDS]
        finish(plans.jobs(cells, fewer), runs, console, name, arguments.workers)
        part = [plans.row(runs, cell, fewer) for cell in cells]
        figures.draw_sweep(folder / f"study-{name}.png", f"Average reward: {name}", part)
        console.print(_sweep(name, part))
        rows += part
    methods = {name: asdict(bonus) for name, bonus in METHODS.items()}
    found = {"world": asdict(world), "methods": methods, "seeds": seeds, "verdicts": verdicts, "rows": rows}
    _save(folder, rows, found)
    pictures = ", ".join(sorted(path.name for path in folder.glob("study-*.png")))
    console.print(
        f"{folder}: results.json, results.csv, runs.jsonl, {pictures}", highlight=False, soft_wrap=True
    )
    return 0


def _search(runs: Any, console: Console, workers: int) -> int:
    from aent.study.search import search

    world, bonuses = search(runs, console, workers)
    console.print(f"world: {world}", highlight=False, soft_wrap=True)
    console.print(f"in the settings: {'the same' if world == WORLD else WORLD}", highlight=False)
    for name, bonus in bonuses.items():
        same = "the same" if bonus == METHODS[name] else METHODS[name]
        console.print(f"{name}: {bonus}\nin the settings: {same}", highlight=False, soft_wrap=True)
    return 0


def _theory(arguments: Theory) -> int:
    from aent.study import figures, report
    from aent.study.theory import CHECKS, clamp, one_step_table

    _check(arguments.seeds)
    last = max(arguments.seeds)
    more = range(last + 1, last + 1 + 9 * len(arguments.seeds)) if arguments.full else ()
    seeds, folder, console = [*arguments.seeds, *more], arguments.output, _console()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error}; give another --output") from error
    cases = report.all_cases(seeds, console)
    clamps = clamp(seeds[0])
    figures.draw_theory(folder / "study-theory.png", cases, clamps)
    summary = [report.summary(name, cases) for name in CHECKS]
    steps = one_step_table()
    bias = [
        {"kept": c.kept, "best": float(c.best.mean()), "worst": float(c.worst.mean()), "bound": c.bound}
        for c in clamps
    ]
    for title, rows in (
        ("propositions: value / bound", summary),
        ("bias of the clamped entropy, V* - V", bias),
        ("one step", steps),
    ):
        console.print(_plain(title, rows))
    _save(
        folder,
        [{**asdict(case), "where": "/".join(map(str, case.where))} for case in cases],
        {"seeds": seeds, "propositions": summary, "clamping": bias, "one step": steps},
        "cases.csv",
    )
    console.print(f"{folder}: cases.csv, results.json, study-theory.png", highlight=False, soft_wrap=True)
    wrong = [case for case in cases if case.violated]
    for case in wrong:
        console.print(f"VIOLATED: {case}", highlight=False, soft_wrap=True)
        console.print(report.describe(case), highlight=False, soft_wrap=True)
    return 1 if wrong else 0


def _console() -> Console:
    """The terminal, or what its output is sent to, wide enough for the tables."""
    console = Console()
    return console if console.is_terminal else Console(width=120)


def _check(seeds: Sequence[int]) -> None:
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise InputError(f"--seeds {list(seeds)}: give at least one, each once, none negative")


def _save(folder: Path, rows: Rows, results: dict[str, Any], table: str = "results.csv") -> None:
    text = json.dumps({**results, "versions": versions()}, indent=1)
    (folder / "results.json").write_text(text + "\n")
    with (folder / table).open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _comparison(rows: Rows) -> Table:
    table = Table(title="average reward at the end, gain over no bonus; 95 % intervals over states")
    for column in ("optimal", "method", "reward", "paper", "gain", "paper", "per seed"):
        table.add_column(column, justify="right")
    for r in rows:
        table.add_row(
            str(r["optimal"]),
            r["method"],
            _interval(r, "reward", ""),
            _or_dash(r["paper_reward"]),
            "-" if r["method"] == "none" else _interval(r, "gain", "+"),
            _or_dash(r["paper_gain"]),
            " ".join(f"{value:.2f}" for value in r["per_seed"]),
        )
    return table


def _sweep(name: str, rows: Rows) -> Table:
    table = Table(title=name)
    for column in ("optimal", "varied", "value", "method", "reward", "gain"):
        table.add_column(column, justify="right")
    for r in rows:
        gain = "-" if r["method"] == "none" else _interval(r, "gain", "+")
        table.add_row(
            str(r["optimal"]), r["varied"], f"{r['value']:g}", r["method"], _interval(r, "reward", ""), gain
        )
    return table


def _plain(title: str, rows: Rows) -> Table:
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()))
    return table


def _interval(row: Mapping[str, Any], key: str, sign: str) -> str:
    return f"{row[key]:{sign}.3f} [{row[f'{key}_low']:{sign}.3f}, {row[f'{key}_high']:{sign}.3f}]"


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
