"""The one exception that aent raises for what a user handed in."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Bad input. The message says what was given, what is allowed and what to do.

    The command line prints it without a stack trace; in Python it is an ordinary ``ValueError``.
    """


def unknown(kind: str, given: str, known: Iterable[str], hint: str = "") -> InputError:
    """Build the error for a name that is not known; it lists the names that are."""
    names = sorted(known)
    close = get_close_matches(given, names, n=1)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    listed = ", ".join(names)
    return InputError(f"unknown {kind} {given!r}.{meant} Known: {listed}.{' ' + hint if hint else ''}")


def contradiction(option: str, given: object, who: str, fixed: object) -> InputError:
    """Build the error for an option that was given one value and is set to another by `who`."""
    return InputError(f"{option}={given} was given, but {who} sets {option}={fixed}; leave one out")
