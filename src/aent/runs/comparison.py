"""Methods x algorithms x seeds on one recipe: which runs a comparison has, its settings and its folder."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from aent.errors import InputError
from aent.lock import LOCK
from aent.records import versions, write_all
from aent.runs.folder import VERSIONS, RunFolder
from aent.runs.recipe import dump_recipe, is_cut, load_recipe, whole_yaml
from aent.spec import read_yaml

SETTINGS = "comparison.yaml"
KEPT_RECIPE = "recipe.yaml"
"""The recipe as it was when the comparison began."""
SECTIONS = ("method", "task", "policy", "evaluation")
"""The sections of a recipe whose fields are flags of their own, ``--task.numbers 4``."""
OF_A_JOB = ("method", "algorithm", "seed", "output_dir", "resume")
"""Flags of `aent train` that a comparison gives each run itself."""


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """A method and the flags of `aent train` that it runs with."""

    method: Any
    """What `aent.methods.load.load_method` takes."""
    flags: tuple[str, ...] = ()
    """Other flags, for instance its own learning rate."""


def load_entrants(methods: str) -> dict[str, Entrant]:
    """Read ``name,name``, or the YAML file at this path: ``{label: {method: SPEC, flags: {name: value}}}``.

    Raises:
        InputError: if the file cannot be read, or holds something else.
    """
    if not methods.endswith((".yaml", ".yml")):
        names = [name for name in methods.split(",") if name]
        if not names:
            raise InputError(f"--methods {methods} names no method; give names, for instance none,aent")
        if len(set(names)) < len(names):
            raise InputError(f"--methods {methods} names a method twice; give each once")
        return {name: Entrant(method=name) for name in names}
    try:
        entries = read_yaml(Path(methods).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"--methods {methods}: {error}") from None
    if not isinstance(entries, Mapping) or not all(isinstance(v, Mapping) for v in entries.values()):
        raise InputError(f"--methods {methods} must map labels to {{method: ..., flags: {{...}}}}")
    for label, entry in entries.items():
        if "method" not in entry or set(entry) - {"method", "flags"}:
            raise InputError(f"--methods {methods}: {label} has {sorted(entry)}; it takes method and flags")
        if not isinstance(entry.get("flags") or {}, Mapping):
            raise InputError(
                f"--methods {methods}: the flags of {label} are {entry['flags']!r}; write them as a mapping, "
                "{learning_rate: 1e-4}"
            )
    return {
        str(label): Entrant(
            method=entry["method"],
            flags=tuple(w for k, v in (entry.get("flags") or {}).items() for w in _words(str(k), v)),
        )
        for label, entry in entries.items()
    }


def _words(name: str, value: Any) -> list[str]:
    """Return a flag of `aent train` as it is typed: a section's value as YAML, a list of TRL's as words."""
    if isinstance(value, list) and name.partition(".")[0] not in SECTIONS:
        return [f"--{name}", *map(str, value)]
    return [f"--{name}", json.dumps(value) if value is None or isinstance(value, list | dict) else str(value)]


@dataclass(frozen=True)
class Job:
    """One run of a comparison."""

    label: str
    algorithm: str
    seed: int

    @property
    def name(self) -> str:
        """The name of its run folder."""
        return f"{self.label}-{self.algorithm}-{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is compared. The seed fixes the order of prompts and the sampling, for all methods alike.

    Raises:
        InputError: if the baseline is not among the methods, there is nothing to run, or labels cannot name
            the folders of the runs.
    """

    recipe: str
    """Name or path of a recipe."""
    entrants: Mapping[str, Entrant]
    """The methods by label."""
    algorithms: tuple[str, ...]
    seeds: tuple[int, ...]
    baseline: str
    """Label of the method that the others are compared with."""
    flags: tuple[str, ...] = ()
    """Flags of `aent train` for every run."""

    def __post_init__(self) -> None:
        if not (self.entrants and self.algorithms and self.seeds):
            raise InputError("a comparison needs at least one method, one algorithm and one seed")
        for flags in (self.flags, *(entrant.flags for entrant in self.entrants.values())):
            _refuse_flags_of_a_job(flags)
        for what, names in (("an algorithm", self.algorithms), ("a seed", self.seeds)):
            if len(set(names)) < len(names):
                raise InputError(f"the comparison names {what} twice ({names}); give each once")
        _check_labels(self.entrants, [job.name for job in self.jobs])
        if self.baseline not in self.entrants:
            raise InputError(
                f"the baseline {self.baseline!r} is not among the methods {', '.join(self.entrants)}; "
                "give one of them as --baseline"
            )

    @property
    def jobs(self) -> list[Job]:
        """All runs, seed by seed, so that the first complete seed can be compared before the others."""
        return [
            Job(label, algorithm, seed)
            for seed in self.seeds
            for algorithm in self.algorithms
            for label in self.entrants
        ]

    def argv(self, job: Job) -> list[str]:
        """Return the command line of a run, after ``aent train``."""
        entrant = self.entrants[job.label]
        method = entrant.method if isinstance(entrant.method, str) else json.dumps(entrant.method)
        own = ["--method", method, "--algorithm", job.algorithm, "--seed", str(job.seed)]
        return [self.recipe, *self.flags, *entrant.flags, *own]


class ComparisonFolder:
    """The folder of a comparison: its settings, and one run folder for each job."""

    def __init__(self, path: Path):
        self.path = path
        self.runs = path / "runs"

    def claim(self, comparison: Comparison) -> None:
        """Write the settings into the folder, or check that it holds these.

        Raises:
            InputError: if the folder holds another comparison, or something else.
        """
        file, kept = self.path / SETTINGS, self.path / KEPT_RECIPE
        recipe = load_recipe(comparison.recipe)
        if file.exists():
            if _values(self.comparison) != _values(comparison):
                raise InputError(
                    f"{self.path} holds a comparison with other settings (see {file}); give another "
                    "--output_dir, or repeat its own command to continue it"
                )
            if kept.exists() and load_recipe(str(kept)) != recipe:
                raise InputError(
                    f"the recipe {comparison.recipe} has changed since this comparison began (see {kept}); "
                    "restore it to continue, or give another --output_dir"
                )
            return
        if self.path.exists() and any(f.name != LOCK for f in self.path.iterdir()):
            raise InputError(f"{self.path} already holds something else; give another --output_dir")
        settings = json.loads(json.dumps(asdict(comparison)))
        text = whole_yaml("The settings of a comparison.", settings)
        write_all(
            {
                self.path / VERSIONS: json.dumps(versions(), indent=2) + "\n",
                kept: dump_recipe(recipe),
                file: text,
            }
        )

    @property
    def comparison(self) -> Comparison:
        """The comparison whose settings the folder holds.

        Raises:
            InputError: if they cannot be read.
        """
        file = self.path / SETTINGS
        try:
            text = file.read_text(encoding="utf-8")
            if is_cut(text):
                raise TypeError("it is cut short: its last line is not '...'")
            settings = read_yaml(text)
            entrants = {
                str(label): Entrant(method=entry["method"], flags=tuple(map(str, entry["flags"])))
                for label, entry in settings.pop("entrants").items()
            }
            flags = tuple(map(str, settings.pop("flags")))
            lists = {name: tuple(settings.pop(name)) for name in ("algorithms", "seeds")}
            return Comparison(entrants=entrants, flags=flags, **lists, **settings)
        except (UnicodeDecodeError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
            raise InputError(
                f"{file} does not hold the settings of a comparison ({error!r}); restore it, or start a new "
                "comparison with another --output_dir"
            ) from None

    def run(self, job: Job) -> RunFolder:
        """Return the folder of a job, whether it exists or not."""
        return RunFolder(self.runs / job.name)

    def is_done(self, job: Job, *, evaluated: bool) -> bool:
        """Whether a run came to its end."""
        run = self.run(job)
        return (run.after / "results.json").exists() if evaluated else run.finished

    def log(self, job: Job) -> Path:
        """Return the file that holds what a run printed."""
        return self.path / "logs" / f"{job.name}.log"


def _check_labels(labels: Iterable[str], names: Sequence[str]) -> None:
    """Check that each run gets a folder of its own, inside the comparison's."""
    for label in labels:
        if not label or "/" in label:
            raise InputError(
                f"the label {label!r} names run folders, so it needs a letter and takes no slash"
            )
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise InputError(
            f"two runs would share the folder {name}, which is LABEL-ALGORITHM-SEED; give a method another "
            "label"
        )


def _refuse_flags_of_a_job(flags: Sequence[str]) -> None:
    for word in flags:
        name = word.partition("=")[0].removeprefix("--").replace("-", "_")
        if word.startswith("--") and name in OF_A_JOB:
            raise InputError(
                f"--{name} is not for the runs of a comparison, which gives each run its own; use --methods, "
                "--algorithms, --seeds or --output_dir of aent compare"
            )


def _values(comparison: Comparison) -> dict[str, Any]:
    """Return the settings with flags as values: ``1e-4`` and ``0.0001`` are the same."""
    settings = json.loads(json.dumps(asdict(comparison)))
    for holder in (settings, *settings["entrants"].values()):
        holder["flags"] = [_value(word) for word in holder["flags"]]
    return settings


def _value(word: str) -> Any:
    try:
        return read_yaml(word)
    except yaml.YAMLError:
        return word
