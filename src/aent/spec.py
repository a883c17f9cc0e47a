"""From what a user writes to Python objects: flags to values, names and mappings to objects.

A spec is a name, or a mapping with a name and arguments: ``aent``, ``{name: top-k, k: 20}``. A name is either
known for its kind, in kebab-case or spelled like a class (``TopK``), or a dotted path to a value or callable.
"""

import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import yaml

from aent.errors import InputError, unknown

Section = str | Mapping[str, Any] | None
"""A section of a recipe: a spec, or None where the section is switched off."""
T = TypeVar("T")


def take_section(argv: Sequence[str], section: str, base: Section) -> tuple[list[str], dict[str, Any] | None]:
    """Take ``--section VALUE`` and ``--section.FIELD VALUE`` out of `argv` and merge them over `base`.

    Values are read as YAML, so numbers, booleans, lists and mappings like ``{a: 1}`` work; a field's text
    needs no quotes, even if it begins like a mapping (``{question} Answer:``). Naming something
    other than `base` does drops the fields of `base`, since they belong to what it names.

    Returns:
        The other words, and the merged section: None if it is switched off.

    Raises:
        InputError: for a flag without a value, a mapping or list that is not YAML, or a field of a section
            that is switched off.
    """
    pairs, rest = _split(argv, lambda flag: flag == f"--{section}" or flag.startswith(f"--{section}."))
    merged, overrides = _as_mapping(base), {}
    for flag, value in pairs:
        parsed = _parse(flag, value)
        if flag == f"--{section}":
            merged = _merge(merged, _as_mapping(parsed))
        else:
            overrides[flag.removeprefix(f"--{section}.")] = parsed
    if merged is None and overrides:
        raise InputError(
            f"--{section}.{next(iter(overrides))} is set but there is no {section}; add --{section}"
        )
    return rest, None if merged is None else {**merged, **overrides}


def take_flags(argv: Sequence[str], names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Take ``--name VALUE`` for these names out of `argv`.

    Returns:
        The values as written, by name with underscores, and the other words.

    Raises:
        InputError: for a flag without a value.
    """
    pairs, rest = _split(argv, lambda flag: flag.startswith("--") and _flag_name(flag) in names)
    return {_flag_name(flag): value for flag, value in pairs}, rest


def _flag_name(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _split(argv: Sequence[str], wanted: Callable[[str], bool]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return (flag, value) of the wanted flags, ``--flag VALUE`` or ``--flag=VALUE``, and the other words.

    Raises:
        InputError: for a wanted flag without a value.
    """
    pairs: list[tuple[str, str]] = []
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        flag, equals, value = word.partition("=")
        if not wanted(flag):
            rest.append(word)
            continue
        following = value if equals else next(words, None)
        if following is None:
            raise InputError(f"{flag} needs a value")
        pairs.append((flag, following))
    return pairs, rest


def whole_number(flag: str, text: str, least: int = 1) -> int:
    """Read the value of a flag that counts something.

    Raises:
        InputError: for what is not a whole number of at least `least`.
    """
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise InputError(f"{flag} {text} must be a whole number of at least {least}")
    return int(text)


def _as_mapping(section: Any) -> dict[str, Any] | None:
    if section is None or section is False:
        return None
    if not isinstance(section, str | Mapping):
        raise InputError(f"{section!r} must be a name, a mapping such as {{name: ...}}, or null")
    return {"name": section} if isinstance(section, str) else dict(section)


def _merge(old: dict[str, Any] | None, new: dict[str, Any] | None) -> dict[str, Any] | None:
    if old is None or new is None or ("name" in new and new["name"] != old.get("name")):
        return new
    return {**old, **new}


def _parse(flag: str, value: str) -> Any:
    in_flow, of_field = value.lstrip()[:1] in ("{", "["), "." in flag
    try:
        parsed = read_yaml(value)
    except yaml.YAMLError as error:
        if not in_flow or (of_field and _goes_on(value)):
            return value  # text with a colon, for instance
        reason = str(error).splitlines()[0]
        raise InputError(f"{flag} {value!r} is not readable as YAML: {reason}") from None
    is_place = isinstance(parsed, dict) and bool(parsed) and ":" not in value  # --task.template '{question}'
    text = isinstance(parsed, dict | list) and (not in_flow or is_place)  # --task.template 'Q: {question}'
    return value if of_field and text else parsed


def _goes_on(value: str) -> bool:
    """Whether text follows the bracket that closes the first one, as in ``{question} Answer:``."""
    text, depth = value.strip(), 0
    for place, letter in enumerate(text):
        depth += (letter in "{[") - (letter in "}]")
        if depth == 0:
            return bool(text[place + 1 :].strip("}] "))  # one bracket too many is a mistake in a mapping
    return False


def read_yaml(text: str) -> Any:
    """Read YAML as version 1.2 does, where ``no`` and ``1:30`` are text, ``010`` is 10 and ``1e-4`` a number.

    Raises:
        yaml.YAMLError: for what is not YAML, is nested too deeply or has a number of thousands of digits, and
            for a key that is given twice.
    """
    try:
        return yaml.load(text, _Loader)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    except ValueError as error:  # of int()
        raise yaml.YAMLError(str(error)) from None


def dump_yaml(value: Any, *, flow: bool = False) -> str:
    """Return YAML that `read_yaml` and readers of version 1.1 read back alike; `flow` writes ``{a: 1}``."""
    return yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=flow,
        width=1000 if flow else 80,
    )


class _Dumper(yaml.SafeDumper):
    """Quotes what would not be read as text in either version."""


class _Loader(yaml.SafeLoader):
    """YAML's core schema, version 1.2, with ``_`` between digits; PyYAML itself reads version 1.1."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping; a key that is given twice is an error."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<" and keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value!r} is given twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    digits = node.value.replace("_", "")
    base = {"0x": 16, "0o": 8}.get(digits[:2], 10)
    return int(digits, base)


_DIGITS = r"[0-9](?:_?[0-9])*"
_SCALARS = {
    "null": (r"~|null|Null|NULL|", "~nN"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (rf"[-+]?{_DIGITS}|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        rf"[-+]?(?:\.{_DIGITS}|{_DIGITS}(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)"
        r"|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "merge": (r"<<", "<"),
}
"""The form of each type of scalar, and the characters it may start with; everything else is text."""
_Loader.yaml_implicit_resolvers = {}
for _type, (_form, _first) in _SCALARS.items():
    _first = [*_first, ""] if _type == "null" else [*_first]
    for _yaml in (_Loader, _Dumper):
        _yaml.add_implicit_resolver(f"tag:yaml.org,2002:{_type}", re.compile(rf"^(?:{_form})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


def from_spec(kind: str, spec: str | Mapping[str, Any], known: Mapping[str, Any]) -> Any:
    """Return the object that a spec describes: a known or imported callable is called with its arguments.

    Raises:
        InputError: for a spec without a name, and as `find` and `call`.
    """
    arguments = {"name": spec} if isinstance(spec, str) else {**spec}
    name = arguments.pop("name", None)
    if not isinstance(name, str):
        raise InputError(f"{kind} {spec!r} has no name; give {{'name': one of {list(known)}}}")
    target = find(kind, name, known)
    if callable(target):
        return call(f"{kind} {name!r}", target, arguments)
    if arguments:
        raise InputError(f"{kind} {name!r} is a finished value and takes no {sorted(arguments)}")
    return target


def find(kind: str, name: str, known: Mapping[str, T]) -> T | Any:
    """Return what a name stands for in `known`, or what a dotted path points to.

    Raises:
        InputError: for an unknown name; it lists the known ones.
    """
    for spelling in (name, kebab_case(name)):
        if spelling in known:
            return known[spelling]
    target = from_dotted_path(name)
    if target is None:
        raise unknown(kind, name, known, f"A dotted path such as package.module.{kind} works too.")
    return target


def kebab_case(name: str) -> str:
    """Return a class's name as the command line spells it: ``TopK`` as ``top-k``, ``PI`` as ``pi``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def from_dotted_path(path: str) -> Any:
    """Return what ``package.module.attribute`` points to, or None if `path` has no dot.

    Modules in the current folder are found too, as ``python script.py`` would find them.

    Raises:
        InputError: if the module or the attribute does not exist, or the module needs one that does not.
    """
    module, dot, attribute = path.rpartition(".")
    if not dot or not all(part.isidentifier() for part in path.split(".")):
        return None
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    if module not in sys.modules and not _exists(module):
        raise InputError(f"{path!r}: there is no module {module!r}; is it installed, or in this folder?")
    try:
        loaded = import_module(module)
    except ImportError as error:  # of something that the module itself imports
        raise InputError(f"{path!r}: module {module!r} cannot be imported: {error}") from error
    if not hasattr(loaded, attribute):
        where = getattr(loaded, "__file__", None) or "a built-in module"
        raise InputError(f"{path!r}: module {module!r} has no {attribute!r}; the module found is {where}")
    return getattr(loaded, attribute)


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package is missing
        return False


def from_mapping(kind: str, cls: type[T], values: Mapping[str, Any]) -> T:
    """Build a dataclass from a mapping such as a section of a recipe.

    Raises:
        InputError: as `call`.
    """
    return call(kind, cls, values)


def call(what: str, target: Callable[..., T], arguments: Mapping[str, Any]) -> T:
    """Call a function or a class with arguments that a user wrote; a list becomes a tuple where one is due.

    Raises:
        InputError: for an unknown or a missing argument, or a value of another type than annotated. An
            annotation that no value can be checked against, or that names something undefined, is ignored.
    """
    checked = _checked(what, target, arguments)
    named = _named(_parameters(what, target))
    missing = [name for name, p in named.items() if p.default is p.empty and name not in checked]
    if missing:
        raise InputError(
            f"{what} needs {', '.join(missing)}: no value was published; give one that fits your setting"
        )
    return target(**checked)


def with_fields(what: str, instance: T, fields: Mapping[str, Any]) -> T:
    """Return an instance of a dataclass with other values in some fields; checked as `call` does.

    Raises:
        InputError: for an unknown field or a value of another type, or if it is not a dataclass.
    """
    if not fields:
        return instance
    if not is_dataclass(instance) or isinstance(instance, type):
        raise InputError(f"{what} is not a dataclass, so it takes no {sorted(fields)}")
    return replace(instance, **_checked(what, type(instance), fields))


def _checked(what: str, target: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    parameters = _parameters(what, target)
    named = _named(parameters)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in arguments:
        if name not in named and not takes_any:
            part = "field" if isinstance(target, type) else "argument"
            raise unknown(f"{part} of {what}:", name, named)
    hints = {name: parameter.annotation for name, parameter in named.items()}
    return {n: _fitted(f"{what}: {n}", hints.get(n, Any), value) for n, value in arguments.items()}


def _parameters(what: str, target: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(target, eval_str=True).parameters
    except NameError:  # imported for type checkers only
        return inspect.signature(target).parameters
    except (ValueError, TypeError):  # some builtins
        raise InputError(f"{what} cannot be called from a spec: its arguments are not known") from None


def _named(parameters: Mapping[str, inspect.Parameter]) -> dict[str, inspect.Parameter]:
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: parameter for name, parameter in parameters.items() if parameter.kind in by_name}


def _fitted(what: str, hint: Any, value: Any) -> Any:
    """Return the value, as a tuple if YAML's list stands for one.

    Raises:
        InputError: if its type is not the annotated one; the error says what was written and what is allowed.
    """
    for candidate in (value, tuple(value)) if isinstance(value, list) else (value,):
        if _fits(candidate, hint):
            return candidate
    raise InputError(f"{what}={value!r} is a {type(value).__name__}; it must be {_written(hint)}")


def _fits(value: Any, hint: Any) -> bool:
    if hint is Any or hint is inspect.Parameter.empty or isinstance(hint, str):
        return True
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if origin is tuple and isinstance(value, tuple) and get_args(hint)[1:] == (...,):
        return all(_fits(item, get_args(hint)[0]) for item in value)
    if isinstance(value, bool):
        return hint is bool
    try:
        return isinstance(value, int | float if hint is float else origin or hint)
    except TypeError:  # a protocol, a TypedDict or the like
        return True


def _written(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
