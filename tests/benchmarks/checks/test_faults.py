"""The table of docs/faults.md is that of the rows that `benchmarks/checks/faults.py` wrote."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[3]
spec = importlib.util.spec_from_file_location("faults", ROOT / "benchmarks/checks/faults.py")
assert spec is not None
assert spec.loader is not None
faults = importlib.util.module_from_spec(spec)
spec.loader.exec_module(faults)


def test_the_table_on_the_page_is_that_of_the_rows():
    rows = faults.read(ROOT / "benchmarks/checks/faults.jsonl")
    assert faults.table(rows) in (ROOT / "docs/faults.md").read_text("utf-8")


def test_a_case_that_was_not_survived_is_counted_as_tried():
    row = {"run": "files", "group": "a cut", "survived": True}
    rows = [row, {**row, "survived": False}, {**row, "run": "disk"}]
    assert faults.table(rows).splitlines()[2:] == [
        "| a cut | 2 | 1 | `files` |",
        "| a cut | 1 | 1 | `disk` |",
    ]
