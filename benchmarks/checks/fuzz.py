"""Mutated input for every parser: nothing but InputError may come out, within a time limit.

    python benchmarks/checks/fuzz.py [TARGET ...] [--examples 20000] [--seed 0]

Targets: answers, gguf, json, csv, console, events, recipe, comparison, method, task. Each starts from valid
input, and cuts, repeats, exchanges and inserts pieces; hypothesis shrinks what fails. The test of this file
does the same with a small budget.
"""

import argparse
import atexit
import contextlib
import json
import os
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from aent.errors import InputError

SECONDS = 5.0
"""Processor time that one input may take in this process."""
PIECES = (
    *("{", "}", "[", "]", "[" * 1100, "{a: " * 400, '{"a":' * 1100, "(" * 400, ":", ": ", ",", "\n", "\t"),
    *('"', "'", "#", "-", "--", "=", "&a ", "*a", "!!python/object:os.system ", "!!binary x", "%", "\\"),
    *("\x00", "\ud800", "null", "~", "true", ".nan", "nan", "NaN", "inf", "-Infinity", "1e400", "9" * 400),
    *("9" * 5000, "-0", "0x", "1_0", "2026-11-29", "\ufeff", "é", "٣", "𝟚", "²", "x" * 3000, "<<: ", "? "),
    *("|", ">", "name", "step", "step:3 - a:b"),
)
"""What is inserted into text."""


@st.composite
def text_like(draw: Any, corpus: Sequence[str]) -> str:
    """Return valid text with up to six changes."""
    text = draw(st.sampled_from(corpus))
    for _ in range(draw(st.integers(0, 6))):
        start, end = sorted(draw(st.integers(0, len(text))) for _ in range(2))
        piece = draw(st.one_of(st.sampled_from(PIECES), st.text(max_size=5), st.just(text[start:end])))
        text = text[:start] + piece + text[draw(st.sampled_from((start, end))) :]
    return text


@st.composite
def bytes_like(draw: Any, corpus: Sequence[bytes]) -> bytes:
    """Return valid bytes with up to six changes."""
    data = draw(st.sampled_from(corpus))
    for _ in range(draw(st.integers(1, 6))):
        start, end = sorted(draw(st.integers(0, len(data))) for _ in range(2))
        number = st.integers(0, 2**64 - 1).map(lambda n: struct.pack("<Q", n))
        piece = draw(st.one_of(st.binary(max_size=9), number, st.just(b"\xff" * 8), st.just(data[start:end])))
        data = data[:start] + piece + data[draw(st.sampled_from((start, end, start + len(piece)))) :]
    return data


@cache
def folder() -> Path:
    """Return a folder for the files of this process, which goes when it ends."""
    place = Path(tempfile.mkdtemp(prefix="aent-fuzz-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


def written(name: str, data: str | bytes) -> Path:
    """Write a file with this content; half surrogate pairs are written as such."""
    path = folder() / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
    return path


def answers(completion: str) -> None:
    """Score an answer with every generated task."""
    from aent.tasks.task import check_rewards

    for task, row in _tasks():
        check_rewards([task.score(completion, row)], 1, task.name)
        vote = task.answer(completion)
        assert vote is None or isinstance(vote, str)


@cache
def _tasks() -> list[tuple[Any, Any]]:
    import random

    from aent.tasks import load_task

    tasks = [load_task({"name": name}) for name in ("countdown", "chain", "lists", "words")]
    return [(task, next(filter(None, map(task.draw, map(random.Random, range(99)))))) for task in tasks]


def log(name: str) -> Callable[[str | bytes], None]:
    """Return a function that diagnoses a log file of this name."""

    def diagnosed(data: str | bytes) -> None:
        from aent.diagnosis.diagnose import diagnose
        from aent.logs.read import read_log

        assert diagnose(read_log(written(name, data))).text

    return diagnosed


def recipe(text: str) -> None:
    """Load a recipe, its method, its task, its policy and its evaluation."""
    from aent.evaluation import EvalConfig
    from aent.methods.load import load_method
    from aent.policies import Warmstart
    from aent.runs.recipe import load_recipe
    from aent.spec import from_mapping
    from aent.tasks import load_task

    loaded = load_recipe(str(written("recipe.yaml", text)))
    load_method(loaded.method)
    load_task(loaded.task)
    from_mapping("policy", Warmstart, loaded.policy or {})
    from_mapping(
        "evaluation", EvalConfig, {k: v for k, v in (loaded.evaluation or {}).items() if k != "also"}
    )


def comparison(text: str) -> None:
    """Read the methods of a comparison."""
    from aent.runs.comparison import load_entrants

    load_entrants(str(written("methods.yaml", text)))


def spec(section: str) -> Callable[[str], None]:
    """Return a function that reads a section from the command line and loads what it names."""

    def loaded(text: str) -> None:
        from aent.methods.load import load_method
        from aent.spec import take_section
        from aent.tasks import load_task

        flag, _, value = text.partition(" ")
        _, read = take_section([flag, value], section, {"name": "aent" if section == "method" else "chain"})
        if read is not None:
            {"method": load_method, "task": load_task}[section](read)

    return loaded


def gguf_file(data: bytes) -> None:
    """Read the metadata of a GGUF file and decide whether it can be carried over."""
    from aent.policies.gguf import read_facts
    from aent.policies.gguf_checks import check_readable

    check_readable(read_facts(written("model.gguf", data)))


@cache
def _gguf() -> bytes:
    import gguf
    import numpy as np

    path = folder() / "whole.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(["a", "b", "ab"])
    writer.add_eos_token_id(1)
    writer.add_tensor("token_embd.weight", np.ones((3, 4), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


@cache
def _events() -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    place = Path(tempfile.mkdtemp(dir=folder()))
    writer = EventFileWriter(str(place))
    for step in range(4):
        value = Summary.Value(tag="train/reward", simple_value=0.1 * step)
        writer.add_event(Event(step=step, wall_time=1.0, summary=Summary(value=[value])))
    writer.close()
    (file,) = place.glob("events*")
    return file.read_bytes()


ROWS = [{"step": 5 * i, "reward": 0.1 * i, "entropy": 0.8 - 0.02 * i, "loss": 0.01, "kl": 0.1,
         "grad_norm": 1.0, "completions/mean_length": 40.0 + i, "aent/coef": 0.01, "aent/entropy": 0.7,
         "aent/low": 0.4, "aent/high": 0.6, "learning_rate": 1e-6} for i in range(12)]  # fmt: skip
JSON = (
    "\n".join(map(json.dumps, ROWS)) + "\n",
    json.dumps({"global_step": 55, "log_history": ROWS}),
    "".join(
        json.dumps({"step": row["step"], "data": {"actor/entropy": row["entropy"]}}) + "\n" for row in ROWS
    ),
    json.dumps({"metric": "reward", "values": [{"step": r["step"], "value": r["reward"]} for r in ROWS]}),
)
CSV = (
    ",".join(ROWS[0]) + "\n" + "".join(",".join(map(str, row.values())) + "\n" for row in ROWS),
    '"Step","run-1 - train/reward","run-1 - train/reward__MIN"\n1,0.5,0.4\n2,0.6,0.4\n3,0.6,0.4\n',
)
CONSOLE = (
    "".join(
        f"\x1b[36m(TaskRunner pid=1)\x1b[0m step:{i} - actor/entropy:np.float64({0.8 - i / 20}) - "
        f"critic/score/mean:{i / 20} - training/global_step:{i}\n"
        for i in range(12)
    ),
)
ANSWERS = (
    *(
        "3+4*(5-1)",
        "(7-2)/5=1",
        "7+5=2,2*3=6#6",
        "#0",
        "[3, 1, 2]",
        "1,2,3",
        "The answer is 12.",
        "\\boxed{12}",
    ),
    *("((((1))))", "1/0", "9**9**9**9", "07+1", "answer: -3"),
)
METHODS = (
    *(
        "--method aent",
        "--method {name: aent, low: 0.2, high: 0.4}",
        "--method.low 0.2",
        "--method.coef 1e-3",
    ),
    "--method {name: stack, methods: [clip-higher, {name: aent, subset: {name: top-k, k: 20}}]}",
    "--method {name: aent, controller: {name: band, low: 0.2, high: 0.3, lr: 0.1}, subset: top-p}",
    *("--method bapo", "--method {name: steer, weight_max: 1.2}", "--method.coef 1e-3", "--method none"),
)
TASKS = (
    *(
        "--task countdown",
        "--task {name: chain, steps: 3}",
        "--task.steps 2",
        "--task {name: lists, length: 5}",
    ),
    *("--task words", "--task.noise 0.5", "--task {name: chain, low: 1, high: 9, modulus: 10}"),
)


def _recipes() -> list[str]:
    from importlib.resources import files

    return [
        (files("aent") / "recipes" / f"{name}.yaml").read_text("utf-8") for name in ("countdown", "words")
    ]


ENTRANTS = (
    "plain: {method: none}\nauto: {method: aent-auto, flags: {learning_rate: 1e-4}}\n",
    "a:\n  method: {name: aent, low: 0.1}\n  flags:\n    max_steps: 3\n",
)
TARGETS: dict[str, Callable[[], tuple[Callable[[Any], None], Any]]] = {
    "answers": lambda: (answers, text_like(ANSWERS)),
    "gguf": lambda: (gguf_file, bytes_like([_gguf()])),
    "json": lambda: (log("log.jsonl"), text_like(JSON)),
    "csv": lambda: (log("log.csv"), text_like(CSV)),
    "console": lambda: (log("verl.log"), text_like((*CONSOLE, *JSON))),
    "events": lambda: (log("events.out.tfevents.1"), bytes_like([_events()])),
    "recipe": lambda: (recipe, text_like(_recipes())),
    "comparison": lambda: (comparison, text_like(ENTRANTS)),
    "method": lambda: (spec("method"), text_like(METHODS)),
    "task": lambda: (spec("task"), text_like(TASKS)),
}


def fuzz(target: str, examples: int, number: int = 0) -> None:
    """Try a parser with so many inputs.

    Raises:
        Exception: what the parser raised on the smallest input found, if that is not `InputError`.
        AssertionError: if an input took more than `SECONDS` of processor time.
    """
    parse, inputs = TARGETS[target]()

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def tried(value: Any) -> None:
        begun = time.process_time()
        with contextlib.suppress(InputError):
            parse(value)
        assert time.process_time() - begun < SECONDS

    tried()


def main() -> None:
    """Fuzz the targets; exit with 1 if one of them fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", choices=[*TARGETS, []])
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.chdir(folder())  # a dotted path is looked up in the current folder
    failed = False
    for target in options.targets or TARGETS:
        begun = time.monotonic()
        try:
            fuzz(target, options.examples, options.seed)
            print(f"ok   {target}: {options.examples} inputs in {time.monotonic() - begun:.0f} s", flush=True)
        except Exception as error:
            failed = True
            print(f"BAD  {target}: {type(error).__name__}: {error}", flush=True)
            for note in getattr(error, "__notes__", []):
                print(note[:500])
    sys.exit(failed)


if __name__ == "__main__":
    main()
