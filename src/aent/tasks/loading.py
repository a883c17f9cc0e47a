"""From a name or a dotted path and some fields to a task, with every mistake named."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_type_hints

from aent.errors import InputError, unknown
from aent.names import check_type, from_dotted_path
from aent.tasks.base import Task


def find(name: str, known: Mapping[str, type[Task]]) -> type[Task] | Task:
    """Return the named task, or what a dotted path leads to.

    Raises:
        InputError: where the name is unknown, or the path leads nowhere or to something else.
    """
    if name in known:
        return known[name]
    found = from_dotted_path(name)
    if found is None:
        raise unknown("task", name, known, "A dotted path such as package.module.Task works too.")
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
        check_type(f"task {name!r}: {field}", hints[field], value)
