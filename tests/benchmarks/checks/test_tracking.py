"""`benchmarks/checks/tracking.py`: how windows of a run are compared with their band."""

import importlib.util
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "benchmarks/checks/tracking.py"


def test_tracking_holds_ten_steps_against_their_band():
    """20 steps are left out; then the means .4 (a fifth below .5), .6 (inside), 1.1 (a tenth above 1)."""
    spec = importlib.util.spec_from_file_location("tracking", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    tracking = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tracking)
    entropies = [9.0] * 20 + [0.3, 0.5] * 5 + [0.6] * 10 + [1.1] * 10 + [9.0] * 3
    rows = [{"aent/entropy": entropy, "aent/low": 0.5, "aent/high": 1.0} for entropy in entropies]
    off, above = tracking.deviations(rows)
    assert off.tolist() == pytest.approx([-0.2, 0.0, 0.1])
    assert above.tolist() == pytest.approx([-0.2, 0.2, 1.2])
