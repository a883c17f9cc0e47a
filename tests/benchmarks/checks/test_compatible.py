"""The table of docs/compatibility.md is the one that its command writes."""

import importlib.util
import platform
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def compatible():
    spec = importlib.util.spec_from_file_location("compatible", ROOT / "benchmarks/checks/compatible.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_holds_what_the_command_writes(compatible):
    page = (ROOT / "docs/compatibility.md").read_text()
    (python,) = re.findall(r"^\| Python \| `\S+` \| (\S+) \|", page, re.MULTILINE)
    assert compatible.filled(page, python) == page, "run python benchmarks/checks/compatible.py"


def test_versions_come_from_the_files_of_constraints(compatible):
    rows = compatible.table(platform.python_version()).splitlines()
    assert f"| Python | `>=3.11` | {platform.python_version()} |" in rows[2]
    (trl,) = [row for row in rows if row.startswith("| trl |")]
    assert re.fullmatch(
        r"\| trl \| `<2,>=1\.16` \| 1\.\d+\.\d+ \|  \|  \|", trl
    )  # verl's environment has none
    assert all(re.search(r"\| \d+\.\d+", row) for row in rows[2:])  # no row without a version
