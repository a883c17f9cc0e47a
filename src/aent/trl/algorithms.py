"""The trainer and configuration of each algorithm."""

from importlib import import_module
from typing import Any

from aent.algorithms import load_algorithm


def classes(name: str) -> tuple[Any, Any]:
    """Return the trainer and the configuration of an algorithm; this imports TRL.

    Raises:
        InputError: for an unknown name.
    """
    trainer, trl = load_algorithm(name).trainer, import_module("aent.trl")
    return getattr(trl, f"AEnt{trainer}Trainer"), getattr(trl, f"AEnt{trainer}Config")
