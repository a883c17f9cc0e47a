"""From a question to a prompt: the text around it, plain or as a conversation."""

from aent.errors import InputError

PLACE = "{question}"
OPEN, CLOSE = "<answer>", "</answer>"


def check_template(task: str, template: str | None) -> None:
    """Check that a template has a place for the question.

    Raises:
        InputError: if it has none.
    """
    if template is not None and PLACE not in template:
        raise InputError(
            f"task {task!r}: template={template!r} has no place for the question; "
            f"write {PLACE} where it goes."
        )


def prompt_of(
    question: str, template: str | None, *, chat: bool, system: str | None
) -> str | list[dict[str, str]]:
    """Return the question within its template: plain text, or a conversation with `chat` or `system`."""
    content = question if template is None else template.replace(PLACE, question)
    if not chat and system is None:
        return content
    before = [] if system is None else [{"role": "system", "content": system}]
    return [*before, {"role": "user", "content": content}]


def tagged(completion: str) -> str | None:
    """Return the text of the last ``<answer>...</answer>``, or None if there is none."""
    end = completion.rfind(CLOSE)
    start = completion.rfind(OPEN, 0, max(end, 0))
    return None if start < 0 else completion[start + len(OPEN) : end]
