"""From what a user writes (a name, a dotted path, a mapping, flags) to Python objects."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from aent.errors import InputError, unknown

Section = str | Mapping[str, Any] | None


def take_section(argv: Sequence[str], section: str, base: Section) -> tuple[list[str], dict[str, Any] | None]:
    """Take ``--section VALUE`` and ``--section.FIELD VALUE`` out of `argv` and merge them over `base`.

    Values are read as YAML, so numbers, booleans, lists and ``{a: 1}`` mappings work. Naming another
    thing than `base` drops the fields of `base`, which belong to what it named.

    Raises:
        InputError: for a flag without a value, or a field set on a section that is off.
    """
    rest: list[str] = []
    chosen, fields = _as_mapping(base), {}
    words = iter(argv)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag != f"--{section}" and not flag.startswith(f"--{section}."):
            rest.append(word)
            continue
        value = value if equals else next(words, None)
        if value is None:
            raise InputError(f"{flag} needs a value")
        parsed = _read(flag, value)
        if flag == f"--{section}":
            chosen = _renamed(chosen, _as_mapping(parsed))
        else:
            fields[flag.removeprefix(f"--{section}.")] = parsed
    if chosen is None and fields:
        raise InputError(
            f"--{section}.{next(iter(fields))} is set but there is no {section}; add --{section}"
        )
    return rest, None if chosen is None else {**chosen, **fields}


def take_flags(argv: Sequence[str], names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Take ``--name VALUE`` of these names out of `argv`; return them, and what is left.

    Raises:
        InputError: for a flag without a value.
    """
    taken: dict[str, str] = {}
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        flag, equals, value = word.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        if not flag.startswith("--") or name not in names:
            rest.append(word)
            continue
        given = value if equals else next(words, None)
        if given is None:
            raise InputError(f"{flag} needs a value")
        taken[name] = given
    return taken, rest


def _as_mapping(section: Section) -> dict[str, Any] | None:
    if section is None:
        return None
    return {"name": section} if isinstance(section, str) else dict(section)


def _renamed(old: dict[str, Any] | None, new: dict[str, Any] | None) -> dict[str, Any] | None:
    if old is None or new is None or ("name" in new and new["name"] != old.get("name")):
        return new
    return {**old, **new}


def _read(flag: str, value: str) -> Any:
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        if value.lstrip()[:1] not in ("{", "["):
            return value  # text with a colon, for instance
        reason = str(error).splitlines()[0]
        raise InputError(f"{flag} {value!r} is not readable as YAML: {reason}") from None
    return _as_number(parsed)


def _as_number(value: Any) -> Any:
    """YAML 1.1 reads ``1e-4`` as text; a person means the number."""
    if not isinstance(value, str):
        return value
    try:
        return float(value) if value[:1] in "+-.0123456789" else value
    except ValueError:
        return value


T = TypeVar("T")


def from_dotted_path(path: str) -> Any:
    """Return what ``package.module.attribute`` points to, or None where `path` has no dot.

    Modules in the current folder are found too, as ``python script.py`` would find them.

    Raises:
        InputError: if the module or the attribute does not exist.
    """
    module, dot, attribute = path.rpartition(".")
    if not dot or not all(part.isidentifier() for part in path.split(".")):
        return None
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    if module not in sys.modules and not _exists(module):
        raise InputError(f"{path!r}: there is no module {module!r}; is it installed, or in this folder?")
    try:
        return getattr(import_module(module), attribute)
    except AttributeError:
        raise InputError(f"{path!r}: module {module!r} has no {attribute!r}") from None


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package is missing
        return False


def from_mapping(kind: str, cls: type[T], values: Mapping[str, Any]) -> T:
    """Build a dataclass from a mapping such as a section of a recipe.

    Raises:
        InputError: for a field the dataclass does not have, or a value of another type than the field.
    """
    hints = get_type_hints(cls)
    known = [f.name for f in fields(cls) if f.init]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise unknown(f"field of {kind}:", name, known)
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}  # YAML's sequences
    for name, value in given.items():
        check_type(f"{kind}: {name}", hints[name], value)
    return cls(**given)


def check_type(what: str, hint: Any, value: Any) -> None:
    """Raise where a value has not the type that was declared for it.

    Raises:
        InputError: naming what was given and what is allowed.
    """
    if not _fits(value, hint):
        raise InputError(f"{what}={value!r} is a {type(value).__name__}; it must be {_written(hint)}")


def _fits(value: Any, hint: Any) -> bool:
    if hint is Any:
        return True
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if origin is tuple and isinstance(value, tuple) and get_args(hint)[1:] == (...,):
        return all(_fits(item, get_args(hint)[0]) for item in value)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, int | float if hint is float else origin or hint)


def _written(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
