"""From a name, a mapping or a dotted path to a method."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from aent.errors import InputError, unknown
from aent.methods.base import Method
from aent.methods.clamped import aent
from aent.methods.classic import entropy_bonus, none
from aent.names import check_type, from_dotted_path

METHODS: dict[str, Callable[..., Method]] = {
    "none": none,
    "entropy-bonus": entropy_bonus,
    "aent": aent,
}


def load_method(spec: str | Mapping[str, Any] | Method) -> Method:
    """Return the method a spec describes.

    A spec is a name in `METHODS`, a dotted path to a `Method` or to a function that returns one, a
    mapping ``{"name": ..., argument: value, ...}``, or a `Method` itself.

    Raises:
        InputError: for an unknown name or argument, or a value the method refuses.
    """
    if isinstance(spec, Method):
        return spec
    arguments: dict[str, Any] = {"name": spec} if isinstance(spec, str) else {**spec}
    name = arguments.pop("name", None)
    if not isinstance(name, str):
        raise InputError(f"method {spec!r} has no name; give {{'name': one of {list(METHODS)}}}")
    found = METHODS[name] if name in METHODS else from_dotted_path(name)
    if found is None:
        raise unknown("method", name, METHODS, "A dotted path such as package.module.method works too.")
    if isinstance(found, Method):
        if arguments:
            raise InputError(f"method {name!r} is a finished value and takes no {sorted(arguments)}")
        return found
    method = _call(name, found, arguments)
    if not isinstance(method, Method):
        raise InputError(f"{name!r} returned {type(method).__name__}, not an aent Method")
    return method


def _call(name: str, factory: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    parameters = inspect.signature(factory).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for argument in arguments:
        if argument not in parameters and not takes_any:
            raise unknown(f"argument of method {name!r}:", argument, parameters)
    for argument, parameter in parameters.items():
        if argument in arguments and parameter.annotation is not parameter.empty:
            check_type(f"method {name!r}: {argument}", parameter.annotation, arguments[argument])
    return factory(**arguments)
