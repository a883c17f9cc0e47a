"""The protocol of tasks that can warm up a policy from scratch: demonstrations and their alphabet."""

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from aent.tasks.task import Task

if TYPE_CHECKING:
    from datasets import Dataset


@runtime_checkable
class Demonstrated(Protocol):
    """A task that can demonstrate solutions. Any kind of `Task` can implement this."""

    @property
    def alphabet(self) -> str:
        """All characters that prompts and demonstrations may contain, in a fixed order."""
        ...

    @property
    def max_length(self) -> int:
        """Maximum number of characters in a demonstrated completion, without the end-of-sequence token."""
        ...

    def demonstrations(self, n: int, seed: int = 0) -> "Dataset":
        """Return `n` completions to imitate: columns ``prompt`` and ``completion``, both strings.

        They come from the training side and never show a test problem.
        """
        ...


def completion_room(task: Task, *, made: bool, otherwise: int = 256) -> int:
    """Return the token budget of a completion: the longest answer plus end-of-sequence, or `otherwise`.

    A policy `made` from scratch answers like its demonstrations, with one token per character. Any
    other policy may write more than the answer if the task is `free_form`.
    """
    longest = getattr(task, "max_length", None) if made or not task.free_form else None
    return otherwise if longest is None else longest + 1
