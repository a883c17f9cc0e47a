"""The shape of the source tree. The floors are read from CONTRIBUTING.md, so that page cannot go stale."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "aent"
MODULES = {
    ".".join(("aent", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in SOURCE.rglob("*.py")
}
HEAVY = ("datasets", "peft", "transformers", "trl")
TESTED_WITH = {
    "aent.ops.backends.native_kernels": "ops/backends/test_native.py",
    "aent.ops.backends.triton_kernels": "ops/backends/test_triton.py",
    "aent.ops.backends.triton_launch": "ops/backends/test_triton.py",
}
"""Modules that only their backend reaches, and where they are tested."""


def floors() -> list[str]:
    """The rooms of src/aent, ground floor first, as CONTRIBUTING.md lists them."""
    page = (ROOT / "CONTRIBUTING.md").read_text()
    (block,) = re.findall(r"```\nsrc/aent/\n(.*?)\n\S", page, re.DOTALL)
    return re.findall(r"^  (\w+)(?:/|\.py) ", block, re.MULTILINE)


FLOORS = floors()


def room(module: str) -> str:
    """The file or folder directly below src/aent that a module belongs to."""
    return module.split(".")[1]


def imports(module: str) -> Iterator[str]:
    """Every module of aent that this one imports: at the top, inside functions and for type checkers."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} uses a relative import"
            if (node.module or "").partition(".")[0] == "aent":
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                yield from (name if name in MODULES else str(node.module) for name in names)


def test_contributing_lists_every_room_once() -> None:
    there = {p.stem if p.is_file() else p.name for p in SOURCE.iterdir() if not p.name.startswith("__")}
    there.discard("py")  # py.typed
    assert sorted(FLOORS) == sorted(there)


@pytest.mark.parametrize("module", [m for m in MODULES if m != "aent"])
def test_imports_go_down_only(module: str) -> None:
    below = FLOORS[: FLOORS.index(room(module)) + 1]
    upward = [name for name in imports(module) if name != "aent" and room(name) not in below]
    assert not upward, f"{module} imports {upward}, which stand above {room(module)!r} in CONTRIBUTING.md"


def test_only_the_command_line_imports_the_package_itself() -> None:
    users = {room(m) for m in MODULES if m != "aent" and "aent" in set(imports(m))}
    assert users <= {"cli"}, "import from the room that defines a name, not from `aent`"


def test_no_files_import_each_other() -> None:
    graph = {m: {name for name in imports(m) if name != m} for m in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_entry_point_is_the_only_way_into_the_command_line() -> None:
    users = [m for m in MODULES if m != "aent" and room(m) != "cli"]
    assert not [m for m in users if any(room(name) == "cli" for name in imports(m) if name != "aent")]
    assert 'aent = "aent.cli.main:main"' in (ROOT / "pyproject.toml").read_text()


def test_no_private_name_crosses_a_file() -> None:
    crossing = [
        f"{module}: {alias.name}"
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aent")
        for alias in node.names
        if re.match(r"_[a-zA-Z]", alias.name)
    ]
    assert not crossing


def loaded_by(code: str) -> set[str]:
    """The top-level packages that a fresh Python holds after running `code`."""
    ending = "import sys; print('LOADED', *sorted({m.partition('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{ending}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.rpartition("LOADED")[2].split())


def test_importing_aent_loads_no_trainer() -> None:
    assert not loaded_by("import aent; aent.token_stats; aent.load_method('aent')") & set(HEAVY)


def test_rooms_below_the_trainers_load_no_trainer() -> None:
    below = FLOORS[: FLOORS.index("trl")]
    modules = sorted(m for m in MODULES if m != "aent" and room(m) in below)
    optional = {"aent.ops.backends.triton_launch", "aent.ops.backends.triton_kernels"}  # need a GPU or a flag
    code = "\n".join(f"import {m}" for m in modules if m not in optional)
    assert not loaded_by(code) & set(HEAVY)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["methods"], ["methods", "siren"]])
def test_first_commands_do_not_load_torch(words: list[str]) -> None:
    assert not loaded_by(f"from aent.cli.main import main; main({words})") & {"torch", *HEAVY}


def test_help_of_train_does_not_load_torch() -> None:
    code = "from aent.cli.main import main\ntry: main(['train', '--help'])\nexcept SystemExit: pass"
    assert not loaded_by(code) & {"torch", *HEAVY}


@pytest.mark.parametrize("module", MODULES)
def test_files_and_functions_are_short(module: str) -> None:
    text = MODULES[module].read_text()
    assert len(text.splitlines()) <= 400, f"{module} is too long for one idea"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            body = node.end_lineno - node.lineno + 1 - len((ast.get_docstring(node) or "").splitlines())
            assert body <= 60, f"{module}.{node.name} has {body} lines without its docstring"


def test_every_module_with_logic_has_a_test_file() -> None:
    tests = {path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    missing = []
    for module, path in MODULES.items():
        place = path.relative_to(SOURCE)
        expected = Path(TESTED_WITH.get(module, place.with_name(f"test_{place.name}")))
        tree = ast.parse(path.read_text())
        logic = any(isinstance(node, ast.FunctionDef) for node in ast.walk(tree))
        if logic and path.name != "__init__.py" and expected not in tests:
            missing.append(module)
    assert not missing, f"no test file of their own: {', '.join(missing)}"
