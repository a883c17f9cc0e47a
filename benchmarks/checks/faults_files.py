"""Every kind of file that aent writes, cut short: a clear error or a clean resume, never a stack trace."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from faults_common import TASK, Ended, Place, Row, compared, evaluated, trained


def check(place: Place) -> Iterator[Row]:
    """Cut each file at two places, and give what is left to every command that reads it."""
    rng = random.Random(f"{place.seed} files")
    stopped, done, measured, table = (_prepared(place, name) for name in SETUPS)
    due = {"run": trained(done), "answers": evaluated(measured), "table": compared(table)}

    def resumed(run: Path, ended: Ended) -> bool:
        return trained(run) == due["run"]

    def same_weights(run: Path, ended: Ended) -> bool:  # the rows that were cut off are gone
        result, steps = trained(run), due["run"]["steps"]
        return {**result, "steps": steps} == due["run"] and all(row in steps for row in result["steps"])

    def kept(folder: Path, ended: Ended) -> bool:
        return evaluated(folder) == due["answers"]

    def same_table(folder: Path, ended: Ended) -> bool:
        return compared(folder) == due["table"]

    def anything(folder: Path, ended: Ended) -> bool:
        return True

    resume = ("train", "--resume")
    for name in ("config.yaml", "versions.json", "before/results.json",
                 "before/samples.jsonl"):  # fmt: skip
        yield from _cut(place, rng, stopped, name, (*resume, FOLDER), resumed)
    yield from _cut(place, rng, stopped, "metrics.jsonl", (*resume, FOLDER), same_weights)
    for file in sorted(path.name for path in (stopped / "checkpoint-6").iterdir()):
        yield from _cut(place, rng, stopped, f"checkpoint-6/{file}", (*resume, FOLDER), resumed)
    for name in ("config.yaml", "metrics.jsonl", "versions.json", "after/results.json",
                 "after/samples.jsonl", "report.html", "training.png"):  # fmt: skip
        yield from _cut(place, rng, done, name, ("report", FOLDER, "--output", OUTPUT), anything)
    for name in ("config.yaml", "metrics.jsonl"):
        yield from _cut(place, rng, done, name, ("diagnose", FOLDER), anything)
    for file in sorted(path.name for path in (done / "policy").iterdir()):
        argv = ("eval", "--model", f"{FOLDER}/policy", *TASK, "--problems", "4", "--samples", "2")
        yield from _cut(place, rng, done, f"policy/{file}", (*argv, "--output", OUTPUT), anything)
    for name in ("settings.json", "samples.jsonl", "results.json"):
        argv = tuple(place.evaluate("cut"))
        yield from _cut(place, rng, measured, name, argv, kept)
    for name in ("comparison.yaml", "comparison.json", "versions.json"):
        yield from _cut(place, rng, table, name, tuple(_compare(place, "cut")), same_table)
        yield from _cut(place, rng, table, name, ("report", FOLDER, "--output", OUTPUT), anything)


FOLDER, OUTPUT = "{folder}", "{output}"


def _compare(place: Place, name: str) -> list[str]:
    words = place.train(name)
    at = words.index("--method")
    del words[at : at + 4]  # the method and its warm-up
    return ["compare", "countdown", "--methods", "none,aent", "--seeds", "3", "--jobs", "1", *words[1:]]


def _stopped(place: Place, name: str) -> list[str]:
    return place.train(name)


SETUPS: dict[str, Callable[[Place, str], list[str]]] = {
    "stopped": _stopped,
    "done": lambda place, name: place.train(name),
    "measured": lambda place, name: place.evaluate(name),
    "table": _compare,
}


def _prepared(place: Place, name: str) -> Path:
    """Return a finished folder; ``stopped`` is a run as it lies there if it is killed in its seventh step."""
    folder = place.folder / f"kept-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    ended = place.aent(*SETUPS[name](place, folder.name)).wait()
    assert ended.code == 0, ended.text
    if name == "stopped":
        for path in ("policy", "after", "checkpoint-8"):
            shutil.rmtree(folder / path)
        (folder / ".trained").unlink()
    return folder


def _cut(
    place: Place,
    rng: random.Random,
    folder: Path,
    name: str,
    words: tuple[str, ...],
    right: Callable[[Path, Ended], bool],
) -> Iterator[Row]:
    """Cut one file at random, and by its last byte."""
    copy, size = place.folder / "cut", (folder / name).stat().st_size
    for length in sorted({rng.randrange(size), size - 1}):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.rmtree(place.folder / "output", ignore_errors=True)
        (place.folder / "output.html").unlink(missing_ok=True)
        shutil.copytree(folder, copy)
        with (copy / name).open("r+b") as file:
            file.truncate(length)
        output = place.folder / ("output.html" if words[0] == "report" else "output")
        argv = [word.format(folder=copy, output=output) if "{" in word else word for word in words]
        ended = place.aent(*argv).wait()
        well = ended.code == 0 and right(copy, ended)
        yield Row(
            group=f"a truncated file, then aent {words[0]}",
            case=f"{folder.name.removeprefix('kept-')}/{name} cut to {length} of {size} bytes",
            survived=ended.clean and (well or ended.explained),
            said=("the same result" if well else "ANOTHER RESULT") if ended.code == 0 else ended.last,
        )
