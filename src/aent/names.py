"""From what a user writes (a dotted path, a section of a recipe) to Python objects."""

import sys
from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

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
    try:
        found = find_spec(module)
    except ModuleNotFoundError:  # a parent package is missing
        found = None
    if found is None:
        raise InputError(f"{path!r}: there is no module {module!r}; is it installed, or in this folder?")
    try:
        return getattr(import_module(module), attribute)
    except AttributeError:
        raise InputError(f"{path!r}: module {module!r} has no {attribute!r}") from None


def from_mapping(kind: str, cls: type[T], values: Mapping[str, Any]) -> T:
    """Build a dataclass from a mapping such as a section of a recipe.

    Raises:
        InputError: for a field the dataclass does not have, or a value of another type than the field.
    """
    hints = get_type_hints(cls)
    known = [f.name for f in fields(cls) if f.init]  # type: ignore[arg-type]
    for name, value in values.items():
        if name not in known:
            raise unknown(f"field of {kind}:", name, known)
        check_type(f"{kind}: {name}", hints[name], value)
    return cls(**values)


def check_type(what: str, hint: Any, value: Any) -> None:
    """Raise where a number or a truth value was due and something else came.

    Raises:
        InputError: naming what was given and what is allowed.
    """
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    allowed = [o for o in options if o in (bool, int, float, str, NoneType)]
    if len(allowed) < len(options):
        return
    fits = any(
        (isinstance(value, o) and (o is bool or not isinstance(value, bool)))
        or (o is float and isinstance(value, int) and not isinstance(value, bool))
        for o in allowed
    )
    if not fits:
        names = " or ".join("null" if o is NoneType else o.__name__ for o in allowed)
        raise InputError(f"{what}={value!r} must be of type {names}")
