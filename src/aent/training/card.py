"""The model card of a run: what it started from, and where the trained policy is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

UNKNOWN = "[None](https://huggingface.co/None)"
"""What TRL writes for a policy that is no model of the hub."""


def completed_card(create: Callable[..., Any], folder: Path, base: str) -> Callable[..., None]:
    """Return TRL's `create_model_card`, which fills in what TRL leaves as None.

    Args:
        create: the trainer's method, which writes ``README.md``.
        folder: the run folder.
        base: the policy that the run started from in words, as the object of "a fine-tuned version of".
    """
    card = folder / "README.md"

    def created(*args: Any, **kwargs: Any) -> None:
        create(*args, **kwargs)
        if card.exists():  # on the main process
            text = card.read_text("utf-8").replace(UNKNOWN, base)
            card.write_text(text.replace('model="None"', f'model="{folder / "policy"}"'), "utf-8")

    return created
