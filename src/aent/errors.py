"""The one exception that aent raises for what a user handed in."""

import os
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Bad input. The message says what was given, what is allowed and what to do.

    The command line prints it without a stack trace; in Python it is an ordinary ``ValueError``.
    """


def exit_code(program: Callable[[], int]) -> int:
    """Run a program and return its exit code; a user's mistake becomes one message, not a stack trace."""
    try:
        return program()
    except InputError as error:
        return _fail(f"error: {error}")
    except ImportError as error:
        return _fail(
            f"error: {error}. The extras of aent bring what its commands need; in the repository: "
            "pip install -e '.[all]'"
        )
    except BrokenPipeError:  # the reader, for instance head, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered
        return 141  # 128 + SIGPIPE, as a shell reports it
    except OSError as error:
        return _fail(f"error: {error}. What was written before is kept")
    except KeyboardInterrupt:
        return _fail("interrupted", 130)


def _fail(message: str, code: int = 1) -> int:
    print(message, file=sys.stderr)
    return code


def unknown(
    kind: str, given: object, known: Iterable[str], hint: str = "", *, nearest: int | None = None
) -> InputError:
    """Build the error for a name that is not known; it lists the known names, or only the `nearest` few."""
    names = sorted(known)
    if nearest is not None:
        close = ", ".join(get_close_matches(str(given), names, n=nearest, cutoff=0))
        return InputError(f"unknown {kind} {given!r}. The nearest are {close}.{' ' + hint if hint else ''}")
    close = get_close_matches(str(given), names, n=1)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    listed = ", ".join(names)
    return InputError(f"unknown {kind} {given!r}.{meant} Known: {listed}.{' ' + hint if hint else ''}")


def contradiction(option: str, given: object, who: str, fixed: object) -> InputError:
    """Build the error for an option that was given one value and is set to another by `who`."""
    return InputError(f"{option}={given} was given, but {who} sets {option}={fixed}; leave one out")
