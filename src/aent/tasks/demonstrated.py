"""What a task must have to start a policy made from scratch: demonstrations, and how they are written."""

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from aent.tasks.task import Task

if TYPE_CHECKING:
    from datasets import Dataset


@runtime_checkable
class Demonstrated(Protocol):
    """A task that shows how its problems are solved; a `Task` of any kind can be one."""

    @property
    def alphabet(self) -> str:
        """Every character that prompts and demonstrations can hold, in a fixed order."""
        ...

    @property
    def max_length(self) -> int:
        """The most characters a demonstrated completion has, without an end-of-sequence token."""
        ...

    def demonstrations(self, n: int, seed: int = 0) -> "Dataset":
        """Return `n` completions to imitate: columns ``prompt`` and ``completion``, both strings.

        They come from the training side; none shows a test problem.
        """
        ...


def completion_room(task: Task, *, made: bool, otherwise: int = 256) -> int:
    """Return the tokens a completion may take: the longest answer and its end, or else `otherwise`.

    A policy `made` from scratch answers as it was shown, one token per character. Any other one may
    write more than the answer where the task is `free_form`.
    """
    longest = getattr(task, "max_length", None) if made or not task.free_form else None
    return otherwise if longest is None else longest + 1
