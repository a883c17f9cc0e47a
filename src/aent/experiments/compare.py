"""Methods x algorithms x seeds on one recipe: which runs there are, and running them."""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from aent.errors import InputError
from aent.experiments.folder import RunFolder, write
from aent.versions import versions

SETTINGS = "comparison.yaml"
LOCK = ".lock"


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """A method with the flags of `aent train` that it runs with."""

    method: Any
    """A spec of `aent.methods.load_method`."""
    flags: tuple[str, ...] = ()
    """Other flags, for instance its own learning rate."""


def load_entrants(given: str) -> dict[str, Entrant]:
    """Read ``name,name`` or the path of a YAML file ``{label: {method: SPEC, flags: {name: value}}}``.

    Raises:
        InputError: for a file that cannot be read, or holds something else.
    """
    if not given.endswith((".yaml", ".yml")):
        return {name: Entrant(method=name) for name in given.split(",") if name}
    try:
        listed = yaml.safe_load(Path(given).read_text())
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"--methods {given}: {error}") from None
    if not isinstance(listed, Mapping) or not all(isinstance(v, Mapping) for v in listed.values()):
        raise InputError(f"--methods {given} must map labels to {{method: ..., flags: {{...}}}}")
    for label, entry in listed.items():
        if "method" not in entry or set(entry) - {"method", "flags"}:
            raise InputError(f"--methods {given}: {label} has {sorted(entry)}; it takes method and flags")
    return {
        str(label): Entrant(
            method=entry["method"],
            flags=tuple(w for k, v in (entry.get("flags") or {}).items() for w in (f"--{k}", str(v))),
        )
        for label, entry in listed.items()
    }


@dataclass(frozen=True)
class Job:
    """One run of a comparison."""

    label: str
    algorithm: str
    seed: int

    @property
    def name(self) -> str:
        """Its folder, below the folder of the comparison."""
        return f"{self.label}-{self.algorithm}-{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is compared. The seed decides the order of prompts and the sampling, alike for all methods.

    Raises:
        InputError: for a baseline that is not among the methods, or nothing to run.
    """

    recipe: str
    """Name or path of a recipe."""
    entrants: Mapping[str, Entrant]
    """By label."""
    algorithms: tuple[str, ...]
    seeds: tuple[int, ...]
    baseline: str
    """Label of the method that the others are measured against."""
    flags: tuple[str, ...] = ()
    """Flags of `aent train` for every run."""

    def __post_init__(self) -> None:
        if not (self.entrants and self.algorithms and self.seeds):
            raise InputError("a comparison needs at least one method, one algorithm and one seed")
        if self.baseline not in self.entrants:
            raise InputError(
                f"the baseline {self.baseline!r} is not among the methods {', '.join(self.entrants)}; "
                "give one of them as --baseline"
            )

    @property
    def jobs(self) -> list[Job]:
        """All runs, seed by seed, so that what is done first can be compared first."""
        return [
            Job(label, algorithm, seed)
            for seed in self.seeds
            for algorithm in self.algorithms
            for label in self.entrants
        ]

    def argv(self, job: Job) -> list[str]:
        """The command line of a run, after ``aent train``."""
        entrant = self.entrants[job.label]
        method = entrant.method if isinstance(entrant.method, str) else json.dumps(entrant.method)
        own = ["--method", method, "--algorithm", job.algorithm, "--seed", str(job.seed)]
        return [self.recipe, *self.flags, *entrant.flags, *own]


class ComparisonFolder:
    """The folder of a comparison: its settings, and one run folder for each job."""

    def __init__(self, path: Path):
        self.path = path
        self.runs = path / "runs"

    def settle(self, comparison: Comparison) -> None:
        """Write the settings down, or find that they are the ones there.

        Raises:
            InputError: if the folder holds another comparison, or something else.
        """
        text = yaml.safe_dump(json.loads(json.dumps(asdict(comparison))), sort_keys=False)
        place = self.path / SETTINGS
        if place.exists():
            if place.read_text() != text:
                raise InputError(
                    f"{self.path} holds a comparison with other settings (see {place}); give another "
                    "--output_dir, or repeat its own command to go on with it"
                )
            return
        if self.path.exists() and any(f.name != LOCK for f in self.path.iterdir()):
            raise InputError(f"{self.path} already holds something else; give another --output_dir")
        write(self.path / "versions.json", json.dumps(versions(), indent=2) + "\n")
        write(place, text)

    @property
    def comparison(self) -> Comparison:
        """What was settled here."""
        held = yaml.safe_load((self.path / SETTINGS).read_text())
        entrants = {
            label: Entrant(method=entry["method"], flags=tuple(entry["flags"]))
            for label, entry in held.pop("entrants").items()
        }
        lists = {name: tuple(held.pop(name)) for name in ("algorithms", "seeds", "flags")}
        return Comparison(entrants=entrants, **lists, **held)

    def run(self, job: Job) -> RunFolder:
        """The folder of a job, there or not."""
        return RunFolder(self.runs / job.name)

    def is_done(self, job: Job, *, evaluated: bool) -> bool:
        """Whether a run came to its end."""
        run = self.run(job)
        return (run.after / "results.json").exists() if evaluated else run.finished

    def log(self, job: Job) -> Path:
        """What a run printed."""
        return self.path / "logs" / f"{job.name}.log"


class Workers:
    """Runs jobs in processes of their own, so many at a time, each with one thread or one GPU."""

    def __init__(self, comparison: Comparison, folder: ComparisonFolder, *, count: int, gpus: int = 0):
        self.comparison, self.folder, self.count = comparison, folder, count
        self.running: dict[Job, subprocess.Popen[bytes]] = {}
        self.failed: dict[Job, int] = {}
        self._stopping = threading.Event()
        self._slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._gpus = gpus
        for slot in range(count):
            self._slots.put(slot)

    def run(self, jobs: Sequence[Job], tick: Callable[[], None]) -> None:
        """Run the jobs; call `tick` about twice a second while they run.

        Raises:
            KeyboardInterrupt: after Ctrl-C, when every run has ended its step with a checkpoint.
        """
        asked = threading.Event()  # an exception out of the signal handler could get lost in a destructor
        before = signal.signal(signal.SIGINT, lambda *_: asked.set())
        try:
            with ThreadPoolExecutor(self.count) as pool:
                futures = [pool.submit(self._one, job) for job in jobs]
                while not all(future.done() for future in futures):
                    tick()
                    if asked.wait(0.5):
                        signal.signal(signal.SIGINT, before)  # a second Ctrl-C stops at once
                        self._stop()
                        raise KeyboardInterrupt
        finally:
            signal.signal(signal.SIGINT, before)
        for future in futures:
            future.result()
        tick()

    def _stop(self) -> None:
        self._stopping.set()
        for process in list(self.running.values()):
            process.send_signal(signal.SIGINT)

    def _one(self, job: Job) -> None:
        slot = self._slots.get()
        try:
            if not self._stopping.is_set():
                self._start(job, slot)
        finally:
            self._slots.put(slot)

    def _start(self, job: Job, slot: int) -> None:
        run, log = self.folder.run(job), self.folder.log(job)
        if (run.path / "config.yaml").exists():
            argv = ["--resume", str(run.path)]
        else:  # a folder without settings was cut off while it was made
            shutil.rmtree(run.path, ignore_errors=True)
            argv = [*self.comparison.argv(job), "--output_dir", str(run.path)]
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with log.open("ab") as out:
                self.running[job] = process = subprocess.Popen(
                    [sys.executable, "-m", "aent.experiments.worker", *argv],
                    env=self._environment(slot),
                    stdin=subprocess.PIPE,  # closed when this process ends, however it ends
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    process_group=0,  # Ctrl-C comes through this process, once
                )
            code = process.wait()
        finally:
            self.running.pop(job, None)
        if code:
            self.failed[job] = code

    def _environment(self, slot: int) -> dict[str, str]:
        one = {"CUDA_VISIBLE_DEVICES": str(slot % self._gpus)} if self._gpus else {"OMP_NUM_THREADS": "1"}
        return {**os.environ, **one}
