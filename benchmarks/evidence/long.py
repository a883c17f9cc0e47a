"""Long training: 2,000 steps, evaluated every 200.

    python benchmarks/evidence/long.py run       # the runs of long-queue.yaml, in its order
    python benchmarks/evidence/long.py tables    # for docs/evidence.md; --seed 0 1, --plain none.linear
    python benchmarks/evidence/long.py draw      # docs/images/long-*.png
    python benchmarks/evidence/long.py choose    # --against LABEL --results .../choice.jsonl

The recipes are those of evidence.py, trained for longer; the methods are in ``long-methods.yaml``. Every
evaluation is a row of ``long.jsonl``, written as soon as it is done: unseen and training problems apart, at
temperature 0.6, at 1 and greedily. A stage that was stopped, by SIGKILL too, resumes with the same command.
Checkpoints lie in --folder until their run is complete.
"""

import argparse
import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import long_curves
import long_pictures
import numpy as np
import yaml
from rich.console import Console

from aent.evaluation import EvalConfig, Evaluation
from aent.evaluation.results import per_problem
from aent.records import json_text
from aent.runs.comparison import Comparison, ComparisonFolder, Entrant, Job, load_entrants
from aent.runs.folder import RunFolder, checkpoint_step
from aent.runs.recipe import load_recipe
from aent.tasks import Task, completion_room, load_task
from aent.training.prepare import prepare, read_request
from aent.training.run import evaluate_folder
from aent.training.workers import Workers

HERE = Path(__file__).parent
RESULTS, METHODS, QUEUE = HERE / "long.jsonl", HERE / "long-methods.yaml", HERE / "long-queue.yaml"
IMAGES = HERE.parents[1] / "docs/images"
SPLITS = {"test": 200, "train": 100}
"""How many problems of each split an evaluation takes."""
START = "start"
"""The label of the policy before training."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("stage", choices=["run", "tables", "draw", "choose"])
    parser.add_argument("--folder", type=Path, default=Path("runs/long"))
    parser.add_argument("--queue", type=Path, default=QUEUE)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one core each")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--every", type=int, default=200, help="steps between evaluations")
    parser.add_argument("--seed", type=int, nargs="+", help="these seeds alone, in tables and choices")
    parser.add_argument("--recipe", nargs="+", help="these recipes alone, likewise")
    parser.add_argument("--plain", default=long_curves.BASELINE, help="form of plain GRPO in the tables")
    parser.add_argument("--against", default="held", help="what `choose` compares with each other method")
    parser.add_argument("--last", type=int, default=0, help="evaluations `choose` looks at; 0 for all")
    options = parser.parse_args()
    rows = Rows(options.results)
    if options.stage == "tables":
        print(long_curves.tables(long_curves.against(chosen(rows.read(), options), options.plain)))
    elif options.stage == "choose":
        print(long_curves.choices(chosen(rows.read(), options), options.against, options.last))
    elif options.stage == "draw":
        for picture in long_pictures.draw(rows.read(), IMAGES):
            print(picture)
    else:
        try:
            run(options, rows)
        except KeyboardInterrupt:
            sys.exit("interrupted; what was done is kept, and the same command continues from there")


def chosen(rows: Sequence[Mapping[str, Any]], options: argparse.Namespace) -> list[Mapping[str, Any]]:
    """Return the rows of the seeds and recipes that were asked for; the start has no seed."""
    return [
        row
        for row in rows
        if (options.seed is None or row.get("seed") in (None, *options.seed))
        and (options.recipe is None or row["recipe"] in options.recipe)
    ]


def run(options: argparse.Namespace, rows: "Rows") -> None:
    """Do what is missing of a queue, in its order."""
    paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)  # runs are processes of their own and import long_parts
    for entry in yaml.safe_load(options.queue.read_text()):
        for comparison in comparisons(entry, options.steps, options.every):
            place = ComparisonFolder(options.folder / Path(comparison.recipe).stem)
            Watched(comparison, place, rows).run(options.jobs)


class Rows:
    """The file of results: one row per evaluation."""

    def __init__(self, path: Path):
        self.path = path

    def read(self) -> list[dict[str, Any]]:
        """Return all rows; a last line that was cut short is left out."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text().split("\n")[:-1]]

    def has(self, wanted: Mapping[str, Any]) -> bool:
        """Whether there is a row with all of these values."""
        return any(all(row.get(key) == value for key, value in wanted.items()) for row in self.read())

    def append(self, row: Mapping[str, Any]) -> None:
        """Write a row; first drop a line that a killed process left half written."""
        text = self.path.read_text() if self.path.exists() else ""
        if text and not text.endswith("\n"):
            self.path.write_text(text[: text.rfind("\n") + 1])
        with self.path.open("a") as file:
            file.write(json_text(row) + "\n")


def comparisons(entry: Mapping[str, Any], steps: int, every: int) -> Iterable[Comparison]:
    """Return the comparisons of an entry of the queue, one per seed and recipe: seeds fill up evenly."""
    known = load_entrants(str(METHODS))
    for seed in entry["seeds"]:
        for name in entry["recipes"]:
            recipe = str(HERE / f"{name}.yaml")
            yield Comparison(
                recipe=recipe,
                entrants={label: scaled(known[label], steps, every) for label in entry["methods"]},
                algorithms=(load_recipe(recipe).algorithm,),
                seeds=(seed,),
                baseline=entry["methods"][0],
            )


def scaled(entrant: Entrant, steps: int, every: int) -> Entrant:
    """Return the entrant with its training length, in batches of rollouts however many steps each takes."""
    flags = dict(zip(entrant.flags[::2], entrant.flags[1::2], strict=True))
    times = int(flags.get("--num_iterations", 1))
    length = {"--max_steps": steps * times, "--save_steps": every * times}
    common = {"--learning_rate": 3e-4, "--lr_scheduler_type": "constant", "--evaluation": "null"}
    values = {**common, **flags, **length}.items()
    words = (word for name, value in values for word in (name, str(value).replace("FIFTH", str(steps // 5))))
    return Entrant(method=entrant.method, flags=tuple(words))


class Watched:
    """A comparison whose checkpoints are evaluated as they are written."""

    def __init__(self, comparison: Comparison, place: ComparisonFolder, rows: Rows):
        self.comparison, self.place, self.rows = comparison, place, rows
        recipe = load_recipe(comparison.recipe)
        self.task: Task = load_task(recipe.task)
        section = dict(recipe.evaluation or {})
        others = section.pop("also")
        self.settings = {"headline": section, **{name: {**section, **own} for name, own in others.items()}}
        self.console = Console()
        self.seen: set[Path] = set()

    def run(self, count: int) -> None:
        """Do the jobs whose last evaluation is not written down."""
        missing = [job for job in self.comparison.jobs if not self.done(job)]
        if not missing:
            return
        model = prepare(read_request(self.comparison.argv(missing[0]))).policy_path()
        start = {"recipe": Path(self.comparison.recipe).stem, "label": START, "step": 0}
        if not self.rows.has(start):
            self.rows.append({**start, **self.evaluate(model, start)})
        workers = Workers(self.comparison, self.place, count=count)
        waiting = set(missing)
        workers.run(missing, lambda: self.look(waiting))
        for job, code in workers.failed.items():
            self.console.print(f"{job.name} failed with {code}: {self.place.log(job)}", highlight=False)

    def done(self, job: Job) -> bool:
        """Whether the policy at the end of a run is in the results."""
        last = long_curves.length(self.comparison.entrants[job.label].flags)
        return self.rows.has({**self.identity(job), "step": last})

    def look(self, jobs: set[Job]) -> None:
        """Evaluate what the runs have written since the last look; clear away the ones that are complete."""
        for job in list(jobs):
            run = self.place.run(job)
            for checkpoint in checkpoints(run):
                if checkpoint not in self.seen:
                    self.keep(job, run, checkpoint)
                    self.seen.add(checkpoint)
            if run.finished and self.done(job):
                jobs.remove(job)
                for checkpoint in run.path.glob("checkpoint-*"):
                    shutil.rmtree(checkpoint)

    def keep(self, job: Job, run: RunFolder, checkpoint: Path) -> None:
        """Write down one checkpoint, unless it is already."""
        trainer = run.recipe.trainer
        step, every = checkpoint_step(checkpoint), trainer["save_steps"]
        times = trainer.get("num_iterations", 1)
        row = {**self.identity(job), "step": step // times}
        if step % every or self.rows.has(row):  # a run that is stopped leaves a checkpoint between two
            return
        recipe, *flags = self.comparison.argv(job)
        words = ["aent", "train", os.path.relpath(recipe, HERE.parents[1]), *flags]
        logged = summary(run.logged_steps(), step - every, step)
        self.rows.append(
            {**row, "training": logged, "command": shlex.join(words), **self.evaluate(str(checkpoint), row)}
        )

    def identity(self, job: Job) -> dict[str, Any]:
        """What makes a run the one that it is."""
        entrant = self.comparison.entrants[job.label]
        return {
            "recipe": Path(self.comparison.recipe).stem,
            "label": job.label,
            "method": entrant.method,
            "flags": list(entrant.flags),
            "algorithm": job.algorithm,
            "seed": job.seed,
        }

    def evaluate(self, model: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """Measure a policy on both splits, with every setting of the recipe."""
        found: dict[str, Any] = {}
        about: Mapping[str, Any] = {}
        for split, problems in SPLITS.items():
            found[split] = {}
            for name, section in self.settings.items():
                own = {**section, "split": split, "problems": problems}
                config = EvalConfig(**own, max_tokens=completion_room(self.task, made=True))
                result = evaluate_folder(model, self.task, config, self.console, f"{split}, {name}")
                found[split][name], about = counts(result), result.about
        title = " ".join(str(row[key]) for key in ("recipe", "label", "step"))
        self.console.print(f"{title}: {long_curves.in_words(found)}", highlight=False, soft_wrap=True)
        return {**found, "machine": about["machine"], "versions": about["versions"]}


def checkpoints(run: RunFolder) -> list[Path]:
    """Return the checkpoints that are complete, the oldest first."""
    last = run.last_checkpoint()
    found = sorted(run.path.glob("checkpoint-*"), key=checkpoint_step)
    return [] if last is None else [path for path in found if checkpoint_step(path) <= checkpoint_step(last)]


def counts(evaluation: Evaluation) -> dict[str, Any]:
    """Return what is kept of an evaluation: counts per problem, entropy of right and of wrong answers."""
    columns = per_problem(evaluation.records, evaluation.config.ks)
    samples = evaluation.config.samples
    correct = np.rint(columns["pass@1"].values * samples).astype(int)
    sides: dict[bool, list[float]] = {True: [], False: []}
    for record in evaluation.records:
        sides[record.correct].append(record.entropy or 0.0)
    maj = columns[f"maj@{samples}"].values.round(3).tolist() if samples > 1 else correct.tolist()
    return {
        "correct": correct.tolist(),
        "samples": samples,
        "maj": maj,
        "entropy": round(evaluation.metrics["entropy"].value, 4),
        "entropy_right": round(float(np.mean(sides[True])), 4) if sides[True] else None,
        "entropy_wrong": round(float(np.mean(sides[False])), 4) if sides[False] else None,
    }


def summary(rows: Sequence[Mapping[str, Any]], after: int, until: int) -> dict[str, Any]:
    """Return means over the logged steps of (after, until]: reward, entropy, gradient norm, mixed groups.

    ``mixed`` is the share of groups that hold right and wrong answers: the others give no gradient.
    """
    own = [row for row in rows if after < row["step"] <= until]
    names = ("reward", "grad_norm", "aent/entropy", "aent/coef", "step_time")
    found = {n: [row[n] for row in own if row.get(n) is not None] for n in names}
    found["entropy"] = [row.get("aent/full_entropy", row["entropy"]) for row in own]
    found["mixed"] = [1 - row["frac_reward_zero_std"] for row in own]
    return {name: round(float(np.mean(values)), 5) for name, values in found.items() if values}


if __name__ == "__main__":
    main()
