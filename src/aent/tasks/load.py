"""Tasks by name, by dotted path, or from a mapping with fields."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_type_hints

from aent.errors import InputError, unknown
from aent.spec import check_type, from_dotted_path
from aent.tasks.generated.chain import Chain
from aent.tasks.generated.countdown import Countdown
from aent.tasks.generated.lists import Lists
from aent.tasks.gym import ReasoningGym
from aent.tasks.math.published import AIME24, AIME25, AMC23, Math500, MathHard, Minerva, OlympiadBench
from aent.tasks.math.task import GSM8K, MathTask
from aent.tasks.task import Task

TASKS: dict[str, type[Task]] = {
    "aime24": AIME24,
    "aime25": AIME25,
    "amc23": AMC23,
    "chain": Chain,
    "countdown": Countdown,
    "gsm8k": GSM8K,
    "lists": Lists,
    "math": MathTask,
    "math-500": Math500,
    "math-hard": MathHard,
    "minerva": Minerva,
    "olympiadbench": OlympiadBench,
    "reasoning-gym": ReasoningGym,
}
"""All named tasks."""


def load_task(given: str | Mapping[str, Any], **fields: Any) -> Task:
    """Return a task by name, by dotted path, or from a mapping with a ``name`` and fields.

    A dotted path (``package.module.Thing``) points to a subclass of `Task` or to an instance; you
    can set the fields of either. `fields` take precedence over those of the mapping.

    Raises:
        InputError: if the name or a field is unknown, a value does not have its field's type, or
            the dotted path does not point to a task.
    """
    settings = {"name": given} if isinstance(given, str) else dict(given)
    name = settings.pop("name", None)
    if not isinstance(name, str):
        raise InputError(
            f"specify a task by its name, or by a mapping with a name and fields; got {given!r}."
        )
    return _build(_find(name), name, settings | fields)


def _find(name: str) -> type[Task] | Task:
    """Return the named task, or the one that a dotted path points to.

    Raises:
        InputError: if the name is unknown, or the path points to nothing or to something that is
            not a task.
    """
    if name in TASKS:
        return TASKS[name]
    target = from_dotted_path(name)
    if target is None:
        raise unknown("task", name, TASKS, "A dotted path such as package.module.Task works too.")
    if isinstance(target, Task) or (isinstance(target, type) and issubclass(target, Task)):
        return target
    raise InputError(
        f"{name!r} is {target!r}, not a task; point to a subclass of aent.tasks.Task or an instance."
    )


def _build(task: type[Task] | Task, name: str, settings: Mapping[str, Any]) -> Task:
    """Return the task with its fields set.

    Raises:
        InputError: if a field is unknown, or a value does not have its field's type.
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
