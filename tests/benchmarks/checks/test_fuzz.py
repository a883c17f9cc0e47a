"""`benchmarks/checks/fuzz.py` with a small budget: mutated input, and nothing but InputError."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("hypothesis")

SOURCE = Path(__file__).parents[3] / "benchmarks/checks/fuzz.py"
spec = importlib.util.spec_from_file_location("fuzz", SOURCE)
assert spec is not None
assert spec.loader is not None
fuzz = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fuzz)


@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_mutated_input_is_read_or_refused(target, workplace):
    if target == "gguf":
        pytest.importorskip("gguf", reason="the extra gguf is not installed")
    if target == "events":
        pytest.importorskip("tensorboard")
    fuzz.fuzz(target, 25)
