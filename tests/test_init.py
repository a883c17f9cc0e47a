"""The public surface: one list of names, each loaded when it is used."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import aent

TREE = ast.parse(Path(aent.__file__).read_text())


def test_the_three_lists_agree():
    """The names for type checkers, those loaded at run time, and those of ``import *``."""
    (typed,) = (node for node in TREE.body if isinstance(node, ast.If))
    imports = {
        alias.name: node.module
        for node in typed.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imports == aent.MODULES
    assert sorted(aent.__all__) == sorted(aent.MODULES)
    assert set(aent.__all__) <= set(dir(aent))


@pytest.mark.parametrize("name", aent.__all__)
def test_every_name_is_the_one_of_its_module(name):
    assert getattr(aent, name) is getattr(import_module(aent.MODULES[name]), name)


def test_everything_that_extensions_are_written_with_is_there():
    """Every controller, subset and part of a method, the protocols, and what a plain loop calls."""
    from aent import controllers, method, objective, ops, subsets

    kinds = [*controllers.__all__, *ops.__all__]
    kinds += [
        name
        for name, value in vars(subsets).items()
        if isinstance(value, type) and value.__module__ == "aent.subsets"
    ]
    kinds += [
        name
        for name, value in vars(method).items()
        if isinstance(value, type) and value.__module__ == "aent.method"
    ]
    kinds += [
        name
        for name, value in vars(objective).items()
        if callable(value) and value.__module__ == "aent.objective" and not name.startswith("_")
    ]
    internal = {"BACKENDS", "Backend", "Rule", "masked_sum"}
    assert set(kinds) - internal <= set(aent.__all__)
    assert {"METHODS", "TASKS", "Task", "load_method", "load_task", "stacked", "InputError"} <= set(
        aent.__all__
    )


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'aent' has no attribute 'Banned'"):
        aent.Banned  # noqa: B018
    with pytest.raises(ImportError, match="Banned"):
        from aent import Banned  # noqa: F401


def test_importing_the_package_loads_no_torch():
    code = "import aent, sys; aent.__version__; dir(aent); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
