"""`benchmarks/speed/gpu.py` without a GPU: all checks run dry, limits hold, a second call resumes."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

SPEED = Path(__file__).parents[3] / "benchmarks/speed"


@pytest.fixture(scope="module")
def gpu():
    sys.path.insert(0, str(SPEED))
    spec = importlib.util.spec_from_file_location("gpu", SPEED / "gpu.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(SPEED))


@pytest.mark.slow
def test_every_check_runs_dry(tmp_path):
    for package in ("trl", "triton", "peft"):
        pytest.importorskip(package)
    out = tmp_path / "gpu.jsonl"
    done = subprocess.run(
        [sys.executable, SPEED / "gpu.py", "--dry", "--minutes", "30", "--out", out],
        capture_output=True,
        text=True,
        env={key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {row["check"] for row in rows if row["state"] == "not run"} <= {"step-vllm", "fast-others"}
    assert {row["card"] for row in rows} == {"none: dry run"}
    met = {row["check"] for row in rows if row["state"] == "met"}
    assert met == {"right-values", "right-cut", "right-promises", "right-sanitizer", "step-options"}
    assert "it says nothing about a GPU" in done.stdout


def test_without_a_card_it_says_so():
    if importlib.import_module("torch").cuda.is_available():
        pytest.skip("there is a card")
    done = subprocess.run([sys.executable, SPEED / "gpu.py"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "try it with --dry" in done.stdout


def figures(place):
    """A figure that is met and one that is missed."""
    from gpu_common import Figure

    return [Figure("error", 0.5, at_most=1.0), Figure("times", 3.0, at_least=5.0), Figure("seconds", 2.0)]


def sleeps(place):
    """Sleeps."""
    subprocess.run(["sleep", "60"])


def dies(place):
    """Dies."""
    os._exit(7)


def lacks(place):
    """Lacks something."""
    from gpu_common import NotHereError

    raise NotHereError("vllm is not installed")


def fails(place):
    """Fails."""
    raise ValueError("no kernel image")


def test_what_becomes_of_a_check(gpu):
    def run(function, seconds=30.0):
        return gpu.run(gpu.Check("x", 30, function), None, seconds)

    result = run(figures)
    assert result["state"] == "missed"
    assert [(f["what"], f["asked"], f["state"]) for f in result["figures"]] == [
        ("error", "at most 1", "met"),
        ("times", "at least 5", "missed"),
        ("seconds", "", ""),
    ]
    start = time.monotonic()
    result = run(sleeps, seconds=0.5)
    assert (result["state"], result["note"]) == ("not run", "did not end within 0.5 s")
    assert time.monotonic() - start < 20
    assert run(dies)["note"] == "its process ended with code 7"
    assert run(lacks)["note"] == "vllm is not installed"
    assert (run(fails)["state"], run(fails)["note"]) == ("missed", "ValueError: no kernel image")


def test_exit_codes(gpu):
    def code(*states, dry=False):
        return gpu.exit_code([{"state": state} for state in states], dry)

    assert (code("met"), code("met", "not run"), code("met", "missed", "not run")) == (0, 3, 1)
    assert (code("met", "not run", dry=True), code("missed", dry=True)) == (0, 1)


def test_it_continues_where_it_stopped_on_the_same_card_with_the_same_code(gpu, tmp_path):
    about, out = {"card": "A", "code": "1"}, tmp_path / "gpu.jsonl"
    for state, changes in {"met": {}, "not run": {}, "missed": {"card": "B"}}.items():
        gpu.write(out, {"check": f"{state} {changes}", "state": state, "figures": [], **about, **changes})
    assert list(gpu.finished(out, about)) == ["met {}"]
    assert gpu.finished(out, {"card": "A", "code": "2"}) == {}
    assert gpu.finished(None, about) == gpu.finished(tmp_path / "none", about) == {}


def test_the_most_important_come_first_and_fit_into_the_minutes(gpu):
    checks = gpu.checks()
    assert [check.name for check in checks[:5]] == [
        "right-values",
        "right-cut",
        "right-promises",
        "fast-copy",
        "fast-trl",
    ]
    assert all(check.title for check in checks)
    assert len({check.name for check in checks}) == len(checks)
