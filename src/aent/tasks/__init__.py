"""Problems with verifiable rewards, by name or from your own module."""

from collections.abc import Mapping
from typing import Any

from aent.errors import InputError
from aent.tasks.base import Completion, Row, Split, Task, check_rewards, text
from aent.tasks.benchmarks import AIME24, AIME25, AMC23, Math500, MathHard, Minerva, OlympiadBench
from aent.tasks.chain import Chain
from aent.tasks.countdown import Countdown
from aent.tasks.demonstrated import Demonstrated, completion_room
from aent.tasks.generated import GeneratedTask
from aent.tasks.gym import ReasoningGym
from aent.tasks.lists import Lists
from aent.tasks.loading import build, find
from aent.tasks.math import GSM8K, MathTask

__all__ = [
    "AIME24",
    "AIME25",
    "AMC23",
    "GSM8K",
    "TASKS",
    "Chain",
    "Completion",
    "Countdown",
    "Demonstrated",
    "GeneratedTask",
    "Lists",
    "Math500",
    "MathHard",
    "MathTask",
    "Minerva",
    "OlympiadBench",
    "ReasoningGym",
    "Row",
    "Split",
    "Task",
    "check_rewards",
    "completion_room",
    "load_task",
    "text",
]

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
"""Every task that has a name."""


def load_task(given: str | Mapping[str, Any], **fields: Any) -> Task:
    """Return a task by name, by dotted path, or from a mapping with a ``name`` and its fields.

    A dotted path (``package.module.Thing``) leads to a subclass of
    `Task`, or to an instance, whose fields can be set as well. `fields` win over the mapping's.

    Raises:
        InputError: where the name or a field is unknown, a value has another type than its field,
            or the dotted path does not lead to a task.
    """
    settings = {"name": given} if isinstance(given, str) else dict(given)
    name = settings.pop("name", None)
    if not isinstance(name, str):
        raise InputError(
            f"a task is given by its name, or by a mapping with a name and fields; got {given!r}."
        )
    return build(find(name, TASKS), name, settings | fields)
