"""What the source says about the methods, read without importing them, as that would load torch."""

import ast
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

LOADER = "aent.methods.load"
"""The module with the dict `METHODS`."""
REQUIRED = inspect.Parameter.empty
"""In place of a default: the argument must be given."""

FORMULA = re.compile(r"``(.+?)``", re.DOTALL)
"""The formula of a method is the first thing in double backticks of its docstring."""
ARXIV = re.compile(r"\b\d{4}\.\d{5}\b")


@dataclass(frozen=True)
class Entry:
    """One method as its source describes it."""

    name: str
    """The name in `METHODS`."""
    module: str
    function: str
    doc: str
    """The docstring, without its indentation."""
    defaults: Mapping[str, Any]
    """The arguments with their defaults, `REQUIRED` for those without one."""

    @property
    def formula(self) -> str:
        """The formula on one line; empty where the docstring has none."""
        formula = FORMULA.search(self.doc)
        return " ".join(formula[1].split()) if formula else ""

    @property
    def sources(self) -> list[str]:
        """The arXiv numbers after ``Source:``, each once."""
        _, _, text = self.doc.partition("Source:")
        return list(dict.fromkeys(ARXIV.findall(text)))


@cache
def factories() -> dict[str, tuple[str, str]]:
    """Return the module and function behind each name in `METHODS`, in that order."""
    tree = _parsed(LOADER)
    modules = {
        alias.asname or alias.name: node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
    }
    (table,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id == "METHODS"
    )
    assert isinstance(table, ast.Dict), "METHODS is a literal dict"
    pairs = zip(table.keys, table.values, strict=True)
    return {
        str(key.value): (modules.get(value.id, LOADER), value.id)
        for key, value in pairs
        if isinstance(key, ast.Constant) and isinstance(value, ast.Name)
    }


def entry(name: str) -> Entry:
    """Read one method by its name in `METHODS`.

    Raises:
        KeyError: for another name.
    """
    module, function = factories()[name]
    (node,) = (n for n in _parsed(module).body if isinstance(n, ast.FunctionDef) and n.name == function)
    doc = ast.get_docstring(node) or ""
    arguments = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    defaults = {a.arg: REQUIRED if value is None else _value(value) for a, value in arguments}
    return Entry(name, module, function, doc, defaults)


@cache
def _parsed(module: str) -> ast.Module:
    package, *folders, file = module.split(".")
    return ast.parse(files(package).joinpath(*folders, f"{file}.py").read_text(encoding="utf-8"))


def _value(node: ast.expr) -> Any:
    """Evaluate a default: a literal, or ``math.inf``."""
    if isinstance(node, ast.Attribute):
        return float(node.attr)
    return ast.literal_eval(node)
