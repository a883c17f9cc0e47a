"""Settings of a section on the command line: ``--task countdown --task.numbers 4``."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from aent.errors import InputError

Section = str | Mapping[str, Any] | None


def take_section(argv: Sequence[str], section: str, base: Section) -> tuple[list[str], dict[str, Any] | None]:
    """Take ``--section VALUE`` and ``--section.FIELD VALUE`` out of `argv` and merge them over `base`.

    Values are read as YAML, so numbers, booleans, lists and ``{a: 1}`` mappings work. Naming another
    thing than `base` drops the fields of `base`, which belong to what it named.

    Raises:
        InputError: for a flag without a value, or a field set on a section that is off.
    """
    rest: list[str] = []
    chosen, fields = _as_mapping(base), {}
    words = iter(argv)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag != f"--{section}" and not flag.startswith(f"--{section}."):
            rest.append(word)
            continue
        value = value if equals else next(words, None)
        if value is None:
            raise InputError(f"{flag} needs a value")
        parsed = _read(flag, value)
        if flag == f"--{section}":
            chosen = _renamed(chosen, _as_mapping(parsed))
        else:
            fields[flag.removeprefix(f"--{section}.")] = parsed
    if chosen is None and fields:
        raise InputError(
            f"--{section}.{next(iter(fields))} is set but there is no {section}; add --{section}"
        )
    return rest, None if chosen is None else {**chosen, **fields}


def take_flags(argv: Sequence[str], names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Take ``--name VALUE`` of these names out of `argv`; return them, and what is left.

    Raises:
        InputError: for a flag without a value.
    """
    taken: dict[str, str] = {}
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        flag, equals, value = word.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        if not flag.startswith("--") or name not in names:
            rest.append(word)
            continue
        given = value if equals else next(words, None)
        if given is None:
            raise InputError(f"{flag} needs a value")
        taken[name] = given
    return taken, rest


def _as_mapping(section: Section) -> dict[str, Any] | None:
    if section is None:
        return None
    return {"name": section} if isinstance(section, str) else dict(section)


def _renamed(old: dict[str, Any] | None, new: dict[str, Any] | None) -> dict[str, Any] | None:
    if old is None or new is None or ("name" in new and new["name"] != old.get("name")):
        return new
    return {**old, **new}


def _read(flag: str, value: str) -> Any:
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        if value.lstrip()[:1] not in ("{", "["):
            return value  # text with a colon, for instance
        reason = str(error).splitlines()[0]
        raise InputError(f"{flag} {value!r} is not readable as YAML: {reason}") from None
    return _as_number(parsed)


def _as_number(value: Any) -> Any:
    """YAML 1.1 reads ``1e-4`` as text; a person means the number."""
    if not isinstance(value, str):
        return value
    try:
        return float(value) if value[:1] in "+-.0123456789" else value
    except ValueError:
        return value
