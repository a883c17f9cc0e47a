"""Do the tests notice a changed line? Mutants of the modules that hold the maths, each against its own tests.

    python benchmarks/checks/mutation.py [MODULE ...] [--sample 300] [--seed 0] [--seconds 120]
                                         [--rows benchmarks/checks/mutation.jsonl] [--again]

MODULE is a file below src/aent, such as subsets.py or methods/bapo.py; by default `MODULES`. A mutant changes
one operator, comparison, constant, condition or call, or leaves one statement out; messages, docstrings and
annotations stay. Each runs in a process of its own, with pytest -x on the test files of its module, and is
killed if a test fails or takes too long. The sample is drawn over all modules; 0 takes every mutant. Mutants
that are in the file already are not tried again, unless --again tries those that survived. Ends with 1 if
fewer than nine in ten are killed.
"""

import argparse
import ast
import contextlib
import importlib.abc
import importlib.util
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "aent"
MODULES = ("subsets.py", "objective.py", "method.py", "controllers/*.py", "methods/*.py")
TESTS = {"controllers": ("controllers/test_protocol.py",)}
"""Test files besides a module's own, by folder."""
SWAPS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}  # fmt: skip
NAMES = {
    "min": "max", "max": "min", "amin": "amax", "amax": "amin", "any": "all", "all": "any", "sum": "mean",
    "mean": "sum", "exp": "log", "minimum": "maximum", "maximum": "minimum", "floor": "ceil", "ceil": "floor",
}  # fmt: skip
"""Functions and methods that another takes the place of."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change to a module."""

    module: str
    index: int
    """Its place in the order in which the mutants of the module are made."""
    line: int
    change: str


class Mutator(ast.NodeTransformer):
    """Counts the places that can be changed; changes the one with the number `chosen`."""

    def __init__(self, chosen: int | None = None):
        self.chosen = chosen
        self.places: list[tuple[int, str]] = []

    def _here(self, node: Any, change: str) -> bool:
        self.places.append((node.lineno, change))
        return len(self.places) - 1 == self.chosen

    def visit_Expr(self, node: ast.Expr) -> Any:
        """Leave docstrings alone; leave a call out."""
        if isinstance(node.value, ast.Constant):
            return node
        node = self.generic_visit(node)  # type: ignore[assignment]
        if self._here(node, f"without {ast.unparse(node)[:50]}"):
            return ast.copy_location(ast.Pass(), node)
        return node

    def visit_Raise(self, node: ast.Raise) -> Any:
        """Leave an error out, and messages alone."""
        return ast.copy_location(ast.Pass(), node) if self._here(node, "without the error") else node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        """Change defaults and body; leave annotations and decorators alone."""
        node.args.defaults = [self.visit(value) for value in node.args.defaults]
        node.args.kw_defaults = [value and self.visit(value) for value in node.args.kw_defaults]
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        """Change the body only."""
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        """Change the value only."""
        node.value = node.value and self.visit(node.value)
        return node

    def visit_Assign(self, node: ast.Assign) -> Any:
        """Leave names of types and published papers alone."""
        if isinstance(node.value, ast.Call) and ast.unparse(node.value.func) in ("Paper", "TypeVar"):
            return node
        if (
            isinstance(node.value, ast.BinOp)
            and isinstance(node.value.op, ast.BitOr)
            and node.col_offset == 0
        ):
            return node
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> Any:
        """Leave messages alone."""
        return node

    def visit_Import(self, node: ast.Import) -> Any:
        """Leave imports alone."""
        return node

    def visit_If(self, node: ast.If) -> Any:
        """Turn a condition around."""
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return node
        node = self.generic_visit(node)  # type: ignore[assignment]
        return self._turned(node, "if")

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        """Turn a condition around."""
        return self._turned(self.generic_visit(node), "if")

    def _turned(self, node: Any, word: str) -> Any:
        if self._here(node, f"{word} not {ast.unparse(node.test)[:50]}"):
            node.test = ast.copy_location(ast.UnaryOp(op=ast.Not(), operand=node.test), node.test)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        """Take another operator."""
        return self._swapped(self.generic_visit(node), "op")

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        """Take another operator."""
        return self._swapped(self.generic_visit(node), "op")

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        """Take another operator."""
        return self._swapped(self.generic_visit(node), "op")

    def _swapped(self, node: Any, field: str) -> Any:
        other = SWAPS.get(type(getattr(node, field)))
        if other is not None:
            before = ast.unparse(node)[:50]
            if self._here(node, f"{other.__name__} in {before}"):
                setattr(node, field, other())
        return node

    def visit_Compare(self, node: ast.Compare) -> Any:
        """Take another comparison at each place."""
        node = self.generic_visit(node)  # type: ignore[assignment]
        for index, operator in enumerate(node.ops):
            other = SWAPS[type(operator)]
            if self._here(node, f"{other.__name__} in {ast.unparse(node)[:50]}"):
                node.ops[index] = other()
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        """Leave a minus, a not or a ~ out."""
        node = self.generic_visit(node)  # type: ignore[assignment]
        return node.operand if self._here(node, f"without the sign of {ast.unparse(node)[:50]}") else node

    def visit_Constant(self, node: ast.Constant) -> Any:
        """Take another number or truth value."""
        value = node.value
        if isinstance(value, bool):
            other: Any = not value
        elif isinstance(value, int | float):
            other = value + 1 if isinstance(value, int) else value * 1.5 + 0.1
        else:
            return node
        if self._here(node, f"{other} for {value}"):
            return ast.copy_location(ast.Constant(other), node)
        return node

    def visit_Call(self, node: ast.Call) -> Any:
        """Call another function or method."""
        node = self.generic_visit(node)  # type: ignore[assignment]
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in NAMES and self._here(node, f"{NAMES[name]} for {name} in {ast.unparse(node)[:50]}"):
            setattr(node.func, "attr" if isinstance(node.func, ast.Attribute) else "id", NAMES[name])
        return node


def mutants(module: str) -> list[Mutant]:
    """Return all mutants of a module."""
    counter = Mutator()
    counter.visit(ast.parse((SOURCE / module).read_text("utf-8")))
    return [
        Mutant(module=module, index=index, line=line, change=change)
        for index, (line, change) in enumerate(counter.places)
    ]


class _Loader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module as its mutant."""

    def __init__(self, name: str, path: Path, tree: ast.Module):
        self.name, self.path, self.tree = name, path, tree

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name == self.name:
            return importlib.util.spec_from_loader(name, self, origin=str(self.path))
        return None

    def exec_module(self, module: Any) -> None:
        module.__file__ = str(self.path)
        exec(compile(self.tree, str(self.path), "exec"), module.__dict__)


def killed(mutant: Mutant, seconds: int) -> bool:
    """Run the tests of the mutant's module in a forked process; a failure, an error or a timeout kills it."""
    tree = Mutator(mutant.index).visit(ast.parse((SOURCE / mutant.module).read_text("utf-8")))
    pid = os.fork()
    if pid == 0:
        signal.alarm(seconds)
        name = "aent." + mutant.module.removesuffix(".py").replace("/", ".")
        sys.meta_path.insert(0, _Loader(name, SOURCE / mutant.module, ast.fix_missing_locations(tree)))
        os._exit(_tested(tests_of(mutant.module)))
    _, status = os.waitpid(pid, 0)
    return status != 0


def _tested(files: Sequence[Path]) -> int:
    import pytest

    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        with contextlib.redirect_stdout(nowhere):
            argv = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow and not gpu"]
            return int(pytest.main([*argv, *map(str, files)]))


def tests_of(module: str) -> list[Path]:
    """Return the test files of a module: its own, and those that its folder shares."""
    path = Path(module)
    own = ROOT / "tests" / path.with_name(f"test_{path.stem}.py")
    shared = [ROOT / "tests" / name for name in TESTS.get(path.parts[0], ())]
    return [file for file in (own, *shared) if file.exists()]


def main() -> None:
    """Try the mutants, write one row each, and list the survivors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--rows", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.chdir(ROOT)
    every = [mutant for module in _modules(options.modules) for mutant in mutants(module)]
    chosen = every
    if options.sample and options.sample < len(every):
        chosen = random.Random(options.seed).sample(every, options.sample)
    earlier = {(row["module"], row["line"], row["change"], row["index"]): row for row in read(options.rows)}
    _import_what_tests_need()
    rows = []
    for mutant in chosen:
        row = earlier.get((mutant.module, mutant.line, mutant.change, mutant.index))
        if row is None or (options.again and not row["killed"]):
            row = {**asdict(mutant), "killed": killed(mutant, options.seconds)}
            word = "killed  " if row["killed"] else "SURVIVED"
            print(f"{word} {mutant.module}:{mutant.line} {mutant.change}", flush=True)
            with options.rows.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        rows.append(row)
    options.rows.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    share = sum(row["killed"] for row in rows) / len(rows)
    print(table(rows))
    print(f"{len(rows)} of {len(every)} mutants tried, {share:.1%} killed")
    sys.exit(share < 0.9)


def table(rows: Sequence[Any]) -> str:
    """Return the survivors, and the share that was killed in each folder."""
    tried, dead = Counter(), Counter()
    for row in rows:
        folder = Path(row["module"]).parts[0]
        tried[folder] += 1
        dead[folder] += row["killed"]
    lines = ["| Module | Tried | Killed |", "|---|---|---|"]
    lines += [f"| `{folder}` | {count} | {dead[folder]} |" for folder, count in sorted(tried.items())]
    left = [f"- `{row['module']}`, line {row['line']}: {row['change']}" for row in rows if not row["killed"]]
    return "\n".join([*lines, "", *left])


def read(path: Path) -> list[Any]:
    """Read the rows of an earlier call."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def _modules(names: Sequence[str]) -> Iterator[str]:
    for pattern in names or MODULES:
        for path in sorted(SOURCE.glob(pattern)):
            module = str(path.relative_to(SOURCE))
            if tests_of(module):
                yield module


def _import_what_tests_need() -> None:
    """Import what is slow to import, but nothing of aent."""
    import hypothesis  # noqa: F401
    import pytest  # noqa: F401
    import torch  # noqa: F401

    assert not any(name.split(".")[0] == "aent" for name in sys.modules)


if __name__ == "__main__":
    main()
