"""Fill in the table of docs/compatibility.md: what is supported, and what the tests pass with.

    python benchmarks/checks/compatible.py    # after `make test` and `make test-verl` have passed

The bounds are those of pyproject.toml. The versions are the ones that the two suites install and run with,
constraints.txt and constraints-verl.txt; the Python is the one that runs this.
"""

import platform
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/compatibility.md"
BEGIN, END = "<!-- compatible.py -->\n", "<!-- end -->\n"
SHOWN = ["torch", "numpy", "transformers", "trl", "accelerate", "datasets", "peft", "math-verify"]
SHOWN += ["reasoning-gym", "numba", "triton", "gguf", "verl"]
NOTES = {
    "torch": "CPU build",
    "triton": "Triton's interpreter only, see [On a GPU](gpu.md)",
    "verl": "in [its own environment](verl.md#installing)",
}


def bounds() -> dict[str, str]:
    """The versions that pyproject.toml accepts, by package; Python is among them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    found = [Requirement(line) for lines in lists for line in lines]
    packages = {r.name.lower(): str(r.specifier) for r in found if str(r.specifier)}
    return {"Python": project["requires-python"], **packages}


def pins(name: str) -> dict[str, str]:
    """The versions of a file of constraints, by package."""
    text = (ROOT / name).read_text().lower()
    return {
        package.replace("_", "-"): version
        for package, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)
    }


def table(python: str) -> str:
    """The table in Markdown."""
    accepted, main, verl = bounds(), pins("constraints.txt"), pins("constraints-verl.txt")
    rows = [row("Python", accepted["Python"], python, python)]
    rows += [row(name, accepted[name], main.get(name, ""), verl.get(name, "")) for name in SHOWN]
    head = [
        "| | supported | `make test` passes with | `make test-verl` passes with | |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


def row(name: str, accepted: str, main: str, verl: str) -> str:
    """One line of the table."""
    return f"| {name} | `{accepted}` | {main} | {verl} | {NOTES.get(name, '')} |"


def filled(page: str, python: str) -> str:
    """The page with its table written anew."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + table(python) + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(), platform.python_version()))
