"""Tasks by name, by dotted path, or from a mapping with fields."""

from collections.abc import Mapping
from typing import Any

from aent.errors import InputError
from aent.spec import call, find, with_fields
from aent.tasks.generated.chain import Chain
from aent.tasks.generated.countdown import Countdown
from aent.tasks.generated.lists import Lists
from aent.tasks.generated.words import Words
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
    "words": Words,
}
"""All named tasks."""


def load_task(given: str | Mapping[str, Any], **fields: Any) -> Task:
    """Return a task by name, by dotted path, or from a mapping with a ``name`` and fields.

    A dotted path (``package.module.Thing``) points to a subclass of `Task` or to an instance; you
    can set the fields of either. `fields` take precedence over those of the mapping.

    Raises:
        InputError: if the name or a field is unknown, a value does not have its field's type, or
            the dotted path does not point to a task with all its members.
    """
    settings = {"name": given} if isinstance(given, str) else dict(given)
    name = settings.pop("name", None)
    if not isinstance(name, str):
        raise InputError(
            f"specify a task by its name, or by a mapping with a name and fields; got {given!r}."
        )
    target = find("task", name, TASKS)
    if not (isinstance(target, Task) or (isinstance(target, type) and issubclass(target, Task))):
        raise InputError(
            f"{name!r} is {target!r}, not a task; point to a subclass of aent.tasks.Task or an instance."
        )
    _require_members(name, target)
    settings |= fields
    if isinstance(target, type):
        return call(f"task {name!r}", target, settings)
    return with_fields(f"task {name!r}", target, settings)


def _require_members(name: str, task: Task | type[Task]) -> None:
    cls = task if isinstance(task, type) else type(task)
    missing = [*([] if hasattr(task, "name") else ["name"]), *sorted(cls.__abstractmethods__)]
    if missing:
        raise InputError(
            f"task {name!r} is {cls.__name__}, which has no {', '.join(missing)}; define what "
            "aent.tasks.Task lists, see docs/tasks.md"
        )
