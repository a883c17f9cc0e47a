"""Which versions of verl aent runs in."""

from importlib.metadata import PackageNotFoundError, version

SUPPORTED = (0, 9)
"""Major and minor version of verl that aent was tested with; its patch must be at least `LEAST_PATCH`."""
LEAST_PATCH = 1


def unsupported() -> str | None:
    """Return why aent does not run in the installed verl; None if it does."""
    try:
        installed = version("verl")
    except PackageNotFoundError:
        return "aent needs verl>=0.9.1,<0.10, which is not installed"
    numbers = [int(part) if part.isdigit() else 0 for part in (*installed.split("."), "0", "0")[:3]]
    if (numbers[0], numbers[1]) == SUPPORTED and numbers[2] >= LEAST_PATCH:
        return None
    return f"aent needs verl>=0.9.1,<0.10; this is verl {installed}"


def ours() -> str:
    """Return the version of aent on this node."""
    return version("aent")
