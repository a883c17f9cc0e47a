"""The evidence: methods tuned alike on development tasks, then compared on tasks they were not tuned on.

    python benchmarks/evidence/evidence.py tune      # every candidate on the development tasks
    python benchmarks/evidence/evidence.py choose    # the best of each method -> settings.yaml
    python benchmarks/evidence/evidence.py evaluate  # these settings on the evaluation tasks, seed by seed
    python benchmarks/evidence/evidence.py ablate    # subsets, vocabularies, a coefficient that does not move
    python benchmarks/evidence/evidence.py map       # starting policies: stronger, weaker, other vocabularies
    python benchmarks/evidence/evidence.py strength  # aent-auto over its one number, for frontier.py
    python benchmarks/evidence/evidence.py tables    # what docs/evidence.md shows of it

The recipes are ``benchmarks/evidence/dev-*.yaml`` and ``eval-*.yaml``, the candidates, as many for every
method, ``candidates.yaml``. Runs that are in ``results.jsonl`` are not repeated, so a stage can be stopped
at any time and goes on on any machine; the run folders themselves go to --folder and are not needed again.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console

from aent.evaluation import load_results
from aent.evaluation.metrics import pass_at_k
from aent.records import versions
from aent.runs.comparison import Comparison, ComparisonFolder, Entrant, Job, load_entrants
from aent.runs.folder import RunFolder
from aent.runs.recipe import load_recipe
from aent.statistics import PerProblem, area_under_curve, mean_over_seeds, paired_difference
from aent.training.workers import Workers

HERE = Path(__file__).parent
RESULTS, CANDIDATES, SETTINGS = HERE / "results.jsonl", HERE / "candidates.yaml", HERE / "settings.yaml"
ABLATION, STRENGTH = HERE / "ablation.yaml", HERE / "strength.yaml"
STAGES = {
    "tune": ("dev-*.yaml", CANDIDATES, (100,)),
    "evaluate": ("eval-*.yaml", SETTINGS, (0, 1, 2, 3, 4)),
    "ablate": ("eval-chain.yaml", ABLATION, (0, 1)),
    "map": ("dev-countdown.yaml", SETTINGS, (0, 1)),
    "strength": ("dev-*.yaml", STRENGTH, (100, 101)),
}
"""Of each stage: its recipes, its methods, and its seeds in their order."""
MAPPED = ("none", "entropy-bonus", "aent", "aent-auto")
SMALLER = ("--policy.demonstrations", "12000", "--per_device_train_batch_size", "64")
"""With 32,768 tokens a run of full size would take most of an hour of a core, its policy half of one."""
PLACES = {
    **{f"{n}-demonstrations": ("--policy.demonstrations", str(n)) for n in (5000, 12000, 30000, 90000)},
    **{f"{n}-tokens": ("--policy.vocab_size", str(n)) for n in (64, 4096)},
    "32768-tokens": ("--policy.vocab_size", "32768", *SMALLER),
}
"""The starting policies of the map; countdown's own has 30,000 demonstrations and 1,024 tokens.

On countdown, as chance alone solves a tenth of chain."""
BASELINE = "none"
METRICS = (("pass@1", "headline", 1), ("pass@16", "headline", 16), ("pass@1, T = 1", "sampled", 1),
           ("greedy", "greedy", 1))  # fmt: skip
"""The columns of the tables: name, evaluation, k."""


def main() -> None:
    """Run the stage that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("stage", choices=[*STAGES, "choose", "tables"])
    parser.add_argument("--folder", type=Path, default=Path("runs/evidence"))
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--methods", help="only these: none,aent")
    parser.add_argument("--recipes", help="only these: dev-countdown")
    parser.add_argument("--seeds", type=int, help="only the first so many")
    given = parser.parse_args()
    if given.stage == "choose":
        choose()
    elif given.stage == "tables":
        tables()
    else:
        run(given.stage, given.folder, given.jobs, given.methods, given.recipes, given.seeds)


def run(stage: str, folder: Path, count: int, only: str | None, where: str | None, seeds: int | None) -> None:
    """Do the runs of a stage that are missing: every recipe with one seed before the next seed."""
    pattern, methods, of_stage = STAGES[stage]
    entrants = load_entrants(str(methods))
    if stage == "map":
        entrants = mapped(entrants)
    entrants = {k: v for k, v in entrants.items() if only is None or method_of(k) in only.split(",")}
    recipes = [p for p in sorted(HERE.glob(pattern)) if where is None or p.stem in where.split(",")]
    for seed in of_stage[:seeds]:
        for recipe in recipes:
            comparison = Comparison(
                recipe=str(recipe),
                entrants=entrants,
                algorithms=(load_recipe(str(recipe)).algorithm,),
                seeds=(seed,),
                baseline=next(iter(entrants)),
            )
            missing = [job for job in comparison.jobs if not known(stage, comparison, job)]
            if missing:
                work(stage, comparison, ComparisonFolder(folder / stage / recipe.stem), missing, count)


def mapped(entrants: Mapping[str, Entrant]) -> dict[str, Entrant]:
    """The methods of the map, each with every starting policy."""
    return {
        f"{name}.{place}": Entrant(method=entrants[name].method, flags=(*entrants[name].flags, *flags))
        for place, flags in PLACES.items()
        for name in MAPPED
    }


def work(stage: str, comparison: Comparison, place: ComparisonFolder, missing: Sequence[Job], count: int):
    """Run the jobs; write each down as soon as it is done."""
    from aent.training.prepare import prepare, read_request

    for job in {_policy_flags(comparison, job): job for job in missing}.values():
        prepare(read_request(comparison.argv(job))).policy_path()  # once, before the runs look for it
    workers, waiting, console = Workers(comparison, place, count=count), set(missing), Console()

    def note() -> None:
        for job in [job for job in waiting if place.is_done(job, evaluated=True)]:
            waiting.discard(job)
            row = {**identity(stage, comparison, job), **outcome(place.run(job))}
            with RESULTS.open("a") as file:
                file.write(json.dumps(row) + "\n")
            console.print(f"{row['recipe']} {job.name}: {summary(row)}", highlight=False)

    workers.run(missing, note)
    for job, code in workers.failed.items():
        console.print(f"{job.name} failed with {code}: {place.log(job)}", highlight=False)


def _policy_flags(comparison: Comparison, job: Job) -> tuple[str, ...]:
    flags = comparison.entrants[job.label].flags
    return tuple(
        f"{k} {v}" for k, v in zip(flags[::2], flags[1::2], strict=True) if k.startswith("--policy.")
    )


def identity(stage: str, comparison: Comparison, job: Job) -> dict[str, Any]:
    """What makes a run the one that it is."""
    entrant = comparison.entrants[job.label]
    return {
        "stage": stage,
        "recipe": Path(comparison.recipe).stem,
        "label": job.label,
        "method": entrant.method,
        "flags": list(entrant.flags),
        "algorithm": job.algorithm,
        "seed": job.seed,
    }


def known(stage: str, comparison: Comparison, job: Job) -> bool:
    """Whether the run is written down, with these very settings."""
    wanted = identity(stage, comparison, job)
    return any(all(row[key] == value for key, value in wanted.items()) for row in results())


def results() -> list[dict[str, Any]]:
    """All runs that were written down."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def outcome(run: RunFolder) -> dict[str, Any]:
    """What is kept of a run: correct answers per problem before and after, and its curves."""
    rows = run.logged_steps()
    steps = [row["step"] for row in rows]
    others = list((run.recipe.evaluation or {}).get("also") or {})
    return {
        "before": {"headline": measured(run.before)} | {n: measured(run.before / n) for n in others},
        "after": {"headline": measured(run.after)} | {n: measured(run.after / n) for n in others},
        "reward_area": area_under_curve(steps, [row["reward"] for row in rows]),
        "entropy": [round(row.get("aent/full_entropy", row["entropy"]), 4) for row in rows],
        "clamped": [round(row["aent/entropy"], 4) for row in rows if "aent/entropy" in row],
        "aim": [round(row["aent/low"], 4) for row in rows if "aent/low" in row],
        "coef": [round(row["aent/coef"], 5) for row in rows if "aent/coef" in row],
        "seconds": round(sum(row["step_time"] for row in rows) / len(rows) * steps[-1], 1),
        "versions": versions(),
    }


def measured(folder: Path) -> dict[str, Any]:
    """Of an evaluation: correct answers of each problem, of how many, and the means beside them."""
    made = load_results(folder)
    correct = [0] * (made.records[-1].problem + 1)
    for record in made.records:
        correct[record.problem] += record.correct
    means = {name: round(made.metrics[name].value, 4) for name in ("entropy", "length")}
    return {"correct": correct, "samples": made.config.samples, **means}


def column(row: Mapping[str, Any], evaluation: str, k: int, when: str = "after") -> PerProblem:
    """pass@k of a run, per problem."""
    found = row[when][evaluation]
    values = pass_at_k(np.array(found["correct"]), found["samples"], k)
    return PerProblem(values, np.ones(len(values)))


def summary(row: Mapping[str, Any]) -> str:
    """The columns of a run in one line."""
    shown = (f"{name} {mean_over_seeds([column(row, where, k)]):.3f}" for name, where, k in METRICS)
    return ", ".join(shown) + f", {row['seconds']} s"


def method_of(label: str) -> str:
    """The method that a candidate, ``method.variant``, belongs to."""
    return label.partition(".")[0]


def choose() -> None:
    """Write the candidate of each method with the highest pass@1 of the headline, mean of the dev tasks."""
    candidates = yaml.safe_load(CANDIDATES.read_text())
    recipes = [p.stem for p in sorted(HERE.glob(STAGES["tune"][0]))]
    chosen: dict[str, Any] = {}
    best: dict[str, tuple[float, float]] = {}
    for label, entry in candidates.items():
        rows = [row for row in results() if row["stage"] == "tune" and row["label"] == label]
        if {row["recipe"] for row in rows} != set(recipes):
            print(f"{label} was not run on all of {', '.join(recipes)}; left out")
            continue
        once, often = (mean_over_seeds([column(row, "headline", k) for row in rows]) for k in (1, 16))
        score = once, often
        print(f"{label:24} pass@1 {score[0]:.4f} pass@16 {score[1]:.4f}")
        name = method_of(label)
        if name not in best or score > best[name]:
            best[name], chosen[name] = score, {**entry}
    command = "python benchmarks/evidence/evidence.py choose"
    head = f"# Written by `{command}` from the runs on the development tasks.\n"
    SETTINGS.write_text(head + yaml.safe_dump(chosen, sort_keys=False))


def tables() -> None:
    """Print as Markdown: each evaluation task, all together, mean ranks, and the ablations and the map."""
    rows = [row for row in results() if row["stage"] == "evaluate"]
    recipes = list(dict.fromkeys(row["recipe"] for row in rows))
    tasks = {recipe: [row for row in rows if row["recipe"] == recipe] for recipe in recipes}
    for recipe, of_recipe in tasks.items():
        print(f"\n### {recipe}\n\n{table(of_recipe)}")
    print(f"\n### All tasks\n\n{table(joined(rows, recipes))}")
    print("\n### Mean ranks\n\n| method | by pass@1 | by pass@16 |\n|---|---|---|")
    once, often = (mean_ranks(tasks.values(), k) for k in (1, 16))
    for method in sorted(once, key=lambda method: once[method]):
        print(f"| {method} | {once[method]:.2f} | {often[method]:.2f} |")
    for stage in ("ablate", "map"):
        _print_parts(stage, [row for row in results() if row["stage"] == stage])


def _print_parts(stage: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """One table for each starting policy, the part of a label behind its dot."""
    for part in dict.fromkeys(row["label"].partition(".")[2] for row in rows):
        own = [row for row in rows if row["label"].endswith(f".{part}")]
        named = [{**row, "label": method_of(row["label"])} for row in own]
        print(f"\n### {stage.capitalize()}: {part.replace('-', ' ')}\n\n{table(named)}")


def joined(rows: Sequence[Mapping[str, Any]], recipes: Sequence[str]) -> list[dict[str, Any]]:
    """One row per method and seed with the problems of all recipes; without those that miss one."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows:
        found.setdefault((row["label"], row["seed"]), {})[row["recipe"]] = row
    return [
        {
            "label": label,
            "seed": seed,
            **{when: _together(own, recipes, when) for when in ("before", "after")},
        }
        for (label, seed), own in found.items()
        if own.keys() == set(recipes)
    ]


def _together(own: Mapping[str, Any], recipes: Sequence[str], when: str) -> dict[str, Any]:
    parts = [own[recipe][when] for recipe in recipes]
    return {
        name: {
            "correct": [count for part in parts for count in part[name]["correct"]],
            "samples": parts[0][name]["samples"],
            "entropy": float(np.mean([part[name]["entropy"] for part in parts])),
        }
        for name in parts[0]
    }


def mean_ranks(tasks: Iterable[Sequence[Mapping[str, Any]]], k: int) -> dict[str, float]:
    """Of each method the mean of its places by its gain in the headline's pass@k; ties share their places.

    The gain is over plain GRPO on the method's own seeds, as not all have the same ones.
    """
    ranks: dict[str, list[float]] = {}
    for rows in tasks:
        gains = {label: gain(rows, label, k) for label in labels(rows)}
        for method, value in gains.items():
            better = sum(other > value for other in gains.values())
            tied = sum(other == value for other in gains.values())
            ranks.setdefault(method, []).append(better + (1 + tied) / 2)
    return {method: float(np.mean(found)) for method, found in ranks.items()}


def gain(rows: Sequence[Mapping[str, Any]], label: str, k: int) -> float:
    """What a method has more of the headline's pass@k than plain GRPO on the same seeds.

    Rounded, so that what ties is not told apart by the order of a sum.
    """
    own, base = paired(rows, label)
    after, before = ([column(row, "headline", k) for row in side] for side in (own, base))
    return round(mean_over_seeds(after) - mean_over_seeds(before), 9)


def paired(rows: Sequence[Mapping[str, Any]], label: str) -> tuple[list[Mapping[str, Any]], ...]:
    """The runs of a method and of plain GRPO on the seeds that both have."""
    own, base = runs(rows, label), runs(rows, BASELINE)
    seeds = {row["seed"] for row in own} & {row["seed"] for row in base}
    own, base = ([row for row in side if row["seed"] in seeds] for side in (own, base))
    return own, base


def labels(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The methods there, plain GRPO first."""
    return sorted({row["label"] for row in rows}, key=lambda label: (label != BASELINE, label))


def runs(rows: Sequence[Mapping[str, Any]], label: str) -> list[Mapping[str, Any]]:
    """The runs of a method, by seed."""
    return sorted((row for row in rows if row["label"] == label), key=lambda row: row["seed"])


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line per method; in brackets the paired difference from plain GRPO with its 95 % interval."""
    if not runs(rows, BASELINE):
        return "Plain GRPO, which all is compared with, was not run here yet."
    lines = ["| method | seeds | " + " | ".join(name for name, _, _ in METRICS) + " | entropy kept |"]
    lines.append("|" + "---|" * (len(METRICS) + 3))
    start = runs(rows, BASELINE)[:1]
    cells = [f"{mean_over_seeds([column(r, e, k, 'before') for r in start]):.3f}" for _, e, k in METRICS]
    lines.append(f"| start | | {' | '.join(cells)} | 1.00 |")
    for label in labels(rows):
        own, base = paired(rows, label)
        kept = np.mean([r["after"]["sampled"]["entropy"] / r["before"]["sampled"]["entropy"] for r in own])
        cells = [_cell(own, base, evaluation, k, label) for _, evaluation, k in METRICS]
        lines.append(f"| {label} | {len(own)} | {' | '.join(cells)} | {kept:.2f} |")
    return "\n".join(lines)


def _cell(own: Sequence[Any], base: Sequence[Any], evaluation: str, k: int, label: str) -> str:
    after, before = ([column(row, evaluation, k) for row in rows] for rows in (own, base))
    value = f"{mean_over_seeds(after):.3f}"
    if label == BASELINE:
        return value
    change, low, high = paired_difference(before, after)
    return f"{value} ({change:+.3f} [{low:+.3f}, {high:+.3f}])"


if __name__ == "__main__":
    main()
