"""The same logs as for the diagnosis."""

from ..diagnosis.conftest import run, state  # noqa: F401
