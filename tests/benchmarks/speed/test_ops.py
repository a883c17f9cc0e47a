"""`benchmarks/speed/ops.py` runs: with tiny shapes, so its figures mean nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

OPS = Path(__file__).parents[3] / "benchmarks/speed/ops.py"
TINY = ["--rows", "5", "--vocab", "300", "--dim", "8", "--rounds", "2", "--dtype", "float32"]


def run(*arguments):
    return subprocess.run([sys.executable, OPS, *TINY, *arguments], capture_output=True, text=True)


@pytest.mark.slow
def test_ops_measures_every_method_and_writes_rows(tmp_path):
    pytest.importorskip("trl")
    out = tmp_path / "rows.jsonl"
    done = run("--out", str(out), "--only", "^(?!.*compile)")  # compiling takes half a minute
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    keys = {"op", "backend", "shape", "dtype", "metric", "p20", "p50", "p80", "device", "versions", "commit"}
    assert all(keys <= set(row) for row in rows)
    assert all(row["p20"] <= row["p50"] <= row["p80"] for row in rows if row["metric"] == "seconds")
    measured = {op: {row["backend"] for row in rows if row["op"] == op} for op in ("logits", "linear")}
    assert {"aent chunked, in place", "naive sort", "recipe, eager", "TRL, two functions"} <= measured[
        "logits"
    ]
    assert {"floor: three products", "aent chunked, recomputing", "TRL, fused head"} <= measured["linear"]


def test_ops_stops_at_a_method_that_computes_something_else(tmp_path):
    spoil = (
        "import runpy, sys, peers;"
        "peers._sort = lambda z, dropped: z.sort(-1).values[:, -2:-1];"
        f"sys.argv = {['ops.py', *TINY, '--op', 'logits', '--only', 'sort', '--out', str(tmp_path / 'x')]!r};"
        f"runpy.run_path({str(OPS)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", spoil], capture_output=True, text=True, cwd=OPS.parent)
    assert done.returncode == 1
    assert "naive sort computes something else" in done.stderr
    assert not (tmp_path / "x").exists()
