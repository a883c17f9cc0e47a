"""The entry point of the group ``verl.plugins``: makes aent's trainers known to verl, and nothing else.

verl imports this module in every process that imports verl, and swallows what it raises. So it only waits:
the trainers are registered once verl's own trainers have been imported, which happens on the driver alone.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import logging
import sys
from collections.abc import Sequence
from types import ModuleType

from aent.verl.version import unsupported

TRAINERS = "verl.trainer.ppo.v1"
"""The package whose import the registration follows."""


class _AfterTrainers(importlib.abc.MetaPathFinder):
    """Finds `TRAINERS` where it is, once, and registers ours after it has been executed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != TRAINERS:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            execute(module)
            register()

        spec.loader.exec_module = execute_and_register
        return spec


def register() -> None:
    """Register ``aent_sync``, ``aent_colocate_async`` and ``aent_separate_async``.

    With a verl that aent was not tested with it warns instead, since plain runs of verl import this too. verl
    then answers ``trainer.v1.trainer_mode=aent_sync`` with "Unknown trainer".
    """
    problem = unsupported() or _import_trainers()
    if problem:
        logging.getLogger("aent").warning("%s; its trainers are not registered", problem)


def _import_trainers() -> str | None:
    """Import aent's trainers, which registers them; return what verl lacks, or None."""
    try:
        import aent.verl.trainers  # noqa: F401
    except ImportError as error:
        return f"this verl is not one that aent knows: {error}"
    return None


def wait() -> None:
    """Register now if verl's trainers are there, or once they are imported."""
    if TRAINERS in sys.modules:
        register()
    elif not any(isinstance(finder, _AfterTrainers) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterTrainers())


wait()
