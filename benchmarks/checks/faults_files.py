"""Every kind of file that aent writes, cut short: a clear error or a clean resume, never a stack trace."""

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import eq
from pathlib import Path
from typing import Any

from faults_common import TASK, Ended, Place, Row, compared, evaluated, fork_runs, trained

FOLDER, OUTPUT = "{folder}", "{output}"
"""In the words of a command: the folder that holds the cut file, and a place for what the command writes."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Files of one folder, and a command that reads them."""

    folder: str
    """The folder, by its name in `SETUPS`."""
    files: Sequence[str]
    """Paths and patterns in it."""
    words: Sequence[str]
    """The command."""
    result: Callable[[Path, Path], Any] | None = None
    """What comes out, read from the folder and the output; None where the command only has to end well."""
    agree: Callable[[Any, Any], bool] = eq
    """Whether the result is good, given the result without a cut."""
    environment: Mapping[str, str] = field(default_factory=dict)
    twice: bool = True
    """Whether each file is cut at random and by its last byte, or in one of these ways."""


def check(place: Place) -> Iterator[Row]:
    """Cut each file at one place or two, and give what is left to every command that reads it."""
    rng = random.Random(f"{place.seed} files")
    folders = {name: _prepared(place, name) for name in SETUPS}
    for kind in kinds(place):
        source, due = folders[kind.folder], None
        if kind.result is not None:
            ended = _run(place, source, kind)
            assert ended.code == 0, ended.text
            due = kind.result(place.folder / "cut", _output(place, kind))
        for pattern in kind.files:
            files = sorted(source.glob(pattern))
            assert files, f"{source} has no {pattern}"
            for file in files:
                yield from _cut(place, rng, source, file.relative_to(source), kind, due)


def kinds(place: Place) -> list[Kind]:
    """Return what is cut, and who reads it."""
    return [
        *_of_runs(),
        *_of_policies(place),
        *_of_evaluations(place),
        *_of_comparisons(place),
        *_rest(place),
    ]


def _of_runs() -> Iterator[Kind]:
    result = partial(_of_folder, trained)
    stopped = partial(Kind, folder="stopped", words=("train", "--resume", FOLDER), result=result)
    yield stopped(files=["config.yaml", "versions.json", *BEFORE])
    yield stopped(files=["checkpoint-5/*"], twice=False)
    yield stopped(files=["metrics.jsonl"], agree=_with_fewer_rows)
    state = ("diagnose", f"{FOLDER}/{STATE}", "--output", OUTPUT)
    yield Kind(folder="stopped", files=[STATE], words=state)
    done = partial(Kind, folder="done")
    yield done(
        files=[*AFTER, "report.html", "training.png"],
        words=stopped.keywords["words"],
        result=result,
        twice=False,
    )
    shown = ["config.yaml", "metrics.jsonl", "versions.json", *BEFORE, *AFTER, "report.html"]
    yield done(files=shown, words=("report", FOLDER, "--output", OUTPUT))
    yield done(files=["config.yaml", "metrics.jsonl"], words=("diagnose", FOLDER, "--output", OUTPUT))


def _of_policies(place: Place) -> Iterator[Kind]:
    model = ("--model", f"{FOLDER}/policy", *TASK)
    measure = ("eval", *model, "--problems", "4", "--samples", "2", "--output", OUTPUT)
    path = ("--model_name_or_path", f"{FOLDER}/policy", *TASK, *ONE_STEP)
    calibrate = ("calibrate", *model, "--prompts", "4", "--samples", "4", "--output", OUTPUT)
    every = partial(Kind, folder="done", files=["policy/*"])
    yield every(words=measure, result=_answers)
    yield every(words=("train", *path), result=_weights, twice=False)
    weights = ["policy/model.safetensors", "policy/tokenizer.json"]
    yield Kind(folder="done", files=weights, words=calibrate)
    made = ["policy/warmstart.json", "policy/chat_template.jinja"]
    yield Kind(folder="made", files=made, words=measure, result=_answers)
    yield Kind(folder="adapter", files=["policy/adapter_*"], words=measure, result=_answers)
    cache = {"AENT_CACHE": str(place.folder / "cut")}
    words = ("train", *CACHED, *ONE_STEP)
    yield Kind(
        folder="cache", files=["policy-*/*"], words=words, result=_weights, environment=cache, twice=False
    )


def _of_evaluations(place: Place) -> Iterator[Kind]:
    words, result = place.evaluate("cut"), partial(_of_folder, evaluated)
    yield Kind(folder="measured", files=["settings.json", *RESULTS], words=words, result=result)
    files = ["summary.json", "lists/settings.json", *(f"lists/{name}" for name in RESULTS)]
    yield Kind(folder="two", files=files, words=_two(place, "cut"), result=_summary)


def _of_comparisons(place: Place) -> Iterator[Kind]:
    run = "runs/none-grpo-3"
    again = partial(Kind, folder="table", words=place.compare("cut"), twice=False)
    files = ["comparison.yaml", "comparison.json", "comparison.csv", "versions.json", "report.html", "*.png"]
    results = [f"{run}/{name}" for name in ("config.yaml", *BEFORE, *AFTER)]
    yield again(files=[*files, "logs/none-*", *results], result=partial(_of_folder, compared))
    yield again(files=[f"{run}/metrics.jsonl"])
    shown = ["comparison.yaml", "comparison.json", "versions.json", *results, f"{run}/metrics.jsonl"]
    yield Kind(folder="table", files=shown, words=("report", FOLDER, "--output", OUTPUT), twice=False)


def _rest(place: Place) -> Iterator[Kind]:
    again = ("report", str(place.folder / "kept-done"), "--output", OUTPUT, "--export", FOLDER)
    yield Kind(folder="exported", files=["*.csv", "*.svg"], words=again)
    log = ("diagnose", f"{FOLDER}/logged.csv", "--output", OUTPUT)
    yield Kind(folder="exported", files=["logged.csv"], words=log)
    model = ("--model_name_or_path", str(place.policy), *TASK, *ONE_STEP)
    block = ("train", f"{FOLDER}/block.yaml", *model)
    yield Kind(folder="calibrated", files=["block.yaml"], words=block, result=_weights)
    yield Kind(folder="study", files=["runs.jsonl"], words=_study("cut", place), result=_gains)


RESULTS = ("results.json", "samples.jsonl")
BEFORE, AFTER = ([f"{when}/{name}" for name in RESULTS] for when in ("before", "after"))
STATE = "checkpoint-5/trainer_state.json"
BATCH = ("--per_device_train_batch_size", "16", "--num_generations", "4", "--logging_steps", "1")
ONE_STEP = (*BATCH, "--max_steps", "1", "--save_strategy", "no", "--evaluation", "null",
            "--output_dir", OUTPUT)  # fmt: skip
TEMPLATE = "{% for message in messages %}{{ message.role }}: {{ message.content }}{% endfor %}"
CACHED = ("countdown", *TASK, "--policy.demonstrations", "200", "--policy.hidden_size", "32",
          "--policy.layers", "1", "--policy.vocab_size", "64", "--policy.epochs", "1")  # fmt: skip


def _of_folder(read: Callable[[Path], Any], folder: Path, output: Path) -> Any:
    return read(folder)


def _with_fewer_rows(result: Any, due: Any) -> bool:
    """Whether a run is the same but for logged rows that are gone with the cut."""
    rows = all(row in due["steps"] for row in result["steps"])
    return rows and {**result, "steps": None} == {**due, "steps": None}


def _answers(folder: Path, output: Path) -> Any:
    return evaluated(output)


def _weights(folder: Path, output: Path) -> Any:
    return (output / "policy/model.safetensors").read_bytes()


def _gains(folder: Path, output: Path) -> Any:
    return json.loads((folder / "results.json").read_text("utf-8"))["rows"]


def _summary(folder: Path, output: Path) -> Any:
    return (folder / "summary.json").read_bytes(), evaluated(folder / "lists"), evaluated(folder / "chain")


def _two(place: Place, name: str) -> list[str]:
    sizes = ["--problems", "4", "--samples", "2", "--output", str(place.folder / name)]
    return ["eval", "--model", str(place.policy), "--task", "chain,lists", *sizes]


def _study(name: str, place: Place) -> list[str]:
    world = ["--world.actions", "50", "--world.states", "1", "--world.steps", "4", "--workers", "1"]
    return ["study", "mdp", "--seeds", "0", *world, "--output", str(place.folder / name)]


def _run_of_few(place: Place, name: str, *more: str) -> list[str]:
    """Return the words of a run whose checkpoints at the third and fifth step hold rollouts half used."""
    words = place.train(name, "--max_steps", "7", "--num_iterations", "2", *more)
    words[words.index("--save_steps") + 1] = "1"
    return words


SETUPS: dict[str, Callable[[Place, str], list[str]]] = {
    "stopped": _run_of_few,
    "done": lambda place, name: place.train(name),
    "made": lambda place, name: [],
    "adapter": lambda place, name: place.train(name, "--use_peft", "--lora_r", "4"),
    "cache": lambda place, name: ["train", *CACHED, *BATCH, "--max_steps", "1", "--evaluation", "null",
                                  "--output_dir", str(place.folder / "made")],
    "measured": lambda place, name: place.evaluate(name),
    "two": _two,
    "table": lambda place, name: place.compare(name),
    "exported": lambda place, name: ["report", str(place.folder / "kept-done"), "--output",
                                     str(place.folder / "exported.html"), "--export",
                                     str(place.folder / name)],
    "calibrated": lambda place, name: ["calibrate", "--model", str(place.policy), *TASK, "--prompts",
                                       "256", "--samples", "4", "--output",
                                       str(place.folder / name / "block.yaml")],
    "study": lambda place, name: _study(name, place),
}  # fmt: skip
"""The commands that write the folders, by the names of these."""


def _prepared(place: Place, name: str) -> Path:
    """Return a finished folder; ``stopped`` is a run as it lies there if it is killed in its sixth step."""
    folder = place.folder / f"kept-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if name == "made":
        shutil.copytree(place.policy, folder / "policy")
        (folder / "policy/chat_template.jinja").write_text(TEMPLATE)
        return folder
    shutil.rmtree(place.folder / "made", ignore_errors=True)
    environment = {"AENT_CACHE": str(folder)} if name == "cache" else {}
    ended = place.aent(*SETUPS[name](place, folder.name), before=partial(_prepare, environment)).wait()
    assert ended.code == 0, ended.text
    if name == "stopped":
        for path in ("policy", "after", "checkpoint-6", "checkpoint-7"):
            shutil.rmtree(folder / path)
        (folder / ".trained").unlink()
    return folder


def _prepare(environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    fork_runs()


def _output(place: Place, kind: Kind) -> Path:
    """Return the place for what a command writes: a file or a folder."""
    endings = {"report": ".html", "diagnose": ".png", "calibrate": ".yaml"}
    return place.folder / f"output{endings.get(kind.words[0], '')}"


def _run(place: Place, folder: Path, kind: Kind, cut: Callable[[Path], object] = lambda copy: None) -> Ended:
    """Cut a copy of the folder, and give it to the command."""
    copy, output = place.folder / "cut", _output(place, kind)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.rmtree(output, ignore_errors=True)
    if output.is_file():
        output.unlink()
    shutil.copytree(folder, copy)
    cut(copy)
    argv = [word.replace(FOLDER, str(copy)).replace(OUTPUT, str(output)) for word in kind.words]
    return place.aent(*argv, before=partial(_prepare, kind.environment)).wait()


def _cut(place: Place, rng: random.Random, folder: Path, name: Path, kind: Kind, due: Any) -> Iterator[Row]:
    """Cut one file at random, by its last byte, or both."""
    size = (folder / name).stat().st_size
    lengths = sorted({rng.randrange(size), size - 1})
    for length in lengths if kind.twice else [rng.choice(lengths)]:
        ended = _run(place, folder, kind, lambda copy, to=length: os.truncate(copy / name, to))
        well = ended.code == 0 and (
            kind.result is None or kind.agree(kind.result(place.folder / "cut", _output(place, kind)), due)
        )
        outcome = "ended well" if kind.result is None else "the same result" if well else "ANOTHER RESULT"
        yield Row(
            group=f"a truncated file, then aent {kind.words[0]}",
            case=f"{folder.name.removeprefix('kept-')}/{name} cut to {length} of {size} bytes",
            survived=ended.clean and (well or ended.explained),
            said=outcome if ended.code == 0 else ended.last,
        )
