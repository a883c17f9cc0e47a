"""From what a user writes (a dotted path, a section of a recipe) to Python objects."""

import sys
from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from aent.errors import InputError, unknown

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
