"""From a name or a dotted path and some fields to a task, with every mistake named."""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from importlib import import_module
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from aent.errors import InputError, unknown
from aent.tasks.base import Task


def find(name: str, known: Mapping[str, type[Task]]) -> type[Task] | Task:
    """Return the named task, or what a dotted path leads to.

    Raises:
        InputError: where the name is unknown, or the path leads nowhere or to something else.
    """
    if name in known:
        return known[name]
    module, colon, attribute = name.partition(":") if ":" in name else name.rpartition(".")
    if not colon:
        hint = "Your own task goes by its dotted path, package.module:Thing."
        raise unknown("task", name, known, hint)
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"cannot load the task {name!r}: {error}. Write package.module:Thing, and run where "
            "the module can be imported."
        ) from error
    if isinstance(found, Task) or (isinstance(found, type) and issubclass(found, Task)):
        return found
    raise InputError(
        f"{name!r} is {found!r}, not a task; point to a subclass of aent.tasks.Task or an instance."
    )


def build(task: type[Task] | Task, name: str, settings: Mapping[str, Any]) -> Task:
    """Return the task with its fields set.

    Raises:
        InputError: where a field is unknown, or a value does not have the type of its field.
    """
    _check(task, name, settings)
    if isinstance(task, type):
        return task(**settings)
    return replace(task, **settings) if settings and is_dataclass(task) else task


def _check(task: type[Task] | Task, name: str, settings: Mapping[str, Any]) -> None:
    owner = task if isinstance(task, type) else type(task)
    known = {field.name for field in fields(owner)} if is_dataclass(owner) else set()
    hints = get_type_hints(owner) if settings else {}
    for field, value in settings.items():
        if field not in known:
            raise unknown(f"field of task {name!r}", field, known)
        if not _fits(value, hints[field]):
            raise InputError(
                f"task {name!r}: {field}={value!r} is a {type(value).__name__}; "
                f"it must be {_written(hints[field])}."
            )


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value has the type that a field was declared with."""
    if hint is Any:
        return True
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, int | float if hint is float else origin or hint)


def _written(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
