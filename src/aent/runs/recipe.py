"""A recipe: everything a run is made of, in one YAML file."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from aent.algorithms import load_algorithm
from aent.errors import InputError, unknown
from aent.spec import dump_yaml, read_yaml

OPTIONAL = ("policy", "evaluation")
"""The sections that can be switched off."""
OFF = (None, False, "no", "off", "none")
"""What switches them off."""
BEGIN, END = " Its last line is three dots.\n---\n", "...\n"
"""How the first and the last lines of a file end that `whole_yaml` wrote."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The sections of a recipe file.

    Raises:
        InputError: for an unknown algorithm or a section that is not a mapping.
    """

    algorithm: str = "grpo"
    """Policy-gradient algorithm, by its name in `aent.algorithms`."""
    method: Mapping[str, Any] = field(default_factory=lambda: {"name": "aent"})
    """How entropy is controlled: ``{name: ..., argument: value}`` (see `aent.methods`)."""
    task: Mapping[str, Any] = field(default_factory=lambda: {"name": "countdown"})
    """What is trained on: ``{name: ..., field: value}`` (see `aent.tasks`)."""
    policy: Mapping[str, Any] | None = None
    """The policy to make from scratch (see `aent.policies`) in a run without ``model_name_or_path``."""
    evaluation: Mapping[str, Any] | None = None
    """How the policy is evaluated before and after training (see `aent.evaluation`); None skips it.

    ``also: {name: {field: value}}`` adds further evaluations, each with the section's settings except for
    these fields.
    """
    trainer: Mapping[str, Any] = field(default_factory=dict)
    """Options of TRL's trainer configuration and of its ModelConfig, by their names there."""

    @property
    def made(self) -> bool:
        """Whether the policy is made from scratch."""
        return self.policy is not None and not self.trainer.get("model_name_or_path")

    def __post_init__(self) -> None:
        load_algorithm(self.algorithm)
        for name in ("method", "task", "policy", "evaluation", "trainer"):
            value = getattr(self, name)
            if name in OPTIONAL and (value.get("name", "") if isinstance(value, Mapping) else value) in OFF:
                object.__setattr__(self, name, None)
            elif isinstance(value, str) and name in ("method", "task"):
                object.__setattr__(self, name, {"name": value})
            elif not isinstance(value, Mapping):
                raise InputError(f"recipe section {name!r} is {value!r}; it must be a mapping")
            elif name in ("method", "task") and "name" not in value:
                raise InputError(
                    f"recipe section {name!r} is {dict(value)!r}; it needs a name: {{name: ...}}"
                )


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with aent."""
    return sorted(f.name.removesuffix(".yaml") for f in _folder().iterdir() if f.name.endswith(".yaml"))


def load_recipe(name: str) -> Recipe:
    """Load a recipe by its name or by the path of a YAML file.

    Raises:
        InputError: if there is no such recipe, the file is not YAML, or a section is unknown.
    """
    if name in recipe_names():
        text = (_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    elif Path(name).suffix in (".yaml", ".yml"):
        if not Path(name).is_file():
            raise InputError(f"recipe file {name!r} does not exist")
        text = _text(Path(name))
    else:
        raise unknown("recipe", name, recipe_names(), "A path to a .yaml file works too.")
    if is_cut(text):
        raise InputError(
            f"recipe {name!r} is cut short: its last line is not '...'. Restore the file, or start a new run"
        )
    try:
        sections = read_yaml(text)
    except yaml.YAMLError as error:
        raise InputError(f"recipe {name!r} is not valid YAML: {error}") from None
    if not isinstance(sections, Mapping):
        raise InputError(f"recipe {name!r} must be a mapping of sections, not {sections!r}")
    for section in sections:
        if section not in _sections():
            raise unknown(f"section in recipe {name!r}:", str(section), _sections())
    return Recipe(**sections)


def dump_recipe(recipe: Recipe) -> str:
    """Return a recipe as YAML that `load_recipe` reads back; it notices if the end is missing."""
    return whole_yaml("The recipe of a run.", asdict(recipe))


def whole_yaml(title: str, sections: Mapping[str, Any]) -> str:
    """Return a mapping as YAML under a title; `is_cut` tells if the end is missing."""
    return f"# {title}{BEGIN}{dump_yaml(sections)}{END}"


def is_cut(text: str) -> bool:
    """Whether the end is missing of a text that `whole_yaml` returned."""
    comment, begun, _ = text.partition(BEGIN)
    return bool(begun) and comment.startswith("#") and "\n" not in comment and not text.endswith(END)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"recipe file {str(path)!r} is not UTF-8 ({error}); save it as UTF-8") from None


def _sections() -> Sequence[str]:
    return [f.name for f in fields(Recipe)]


def _folder() -> Traversable:
    return files("aent") / "recipes"
