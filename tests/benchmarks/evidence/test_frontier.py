"""benchmarks/evidence/frontier.py: which candidates are points, and which lie on the frontier."""

import pytest


@pytest.fixture
def frontier(script):
    return script("frontier")


FOUND = {
    "none.low": (0.39, 0.56),
    "pass-at-k.2": (0.38, 0.64),
    "pass-at-k.8": (0.36, 0.72),
    "siren.mid": (0.38, 0.60),
    "sac.mid": (0.37, 0.64),
    "clip-cov.strong": (0.16, 0.53),
}


def test_it_holds_what_nothing_beats_in_both(frontier):
    """pass-at-k.2 ties with siren.mid in pass@1 and with sac.mid in pass@16, and beats each in the other."""
    assert list(frontier.frontier(FOUND)) == ["none.low", "pass-at-k.2", "pass-at-k.8"]


def test_a_candidate_without_all_tasks_is_left_out(frontier, monkeypatch):
    rows = frontier.evidence.results()
    found = frontier.points()
    assert found["none.low"] == pytest.approx((0.391, 0.557), abs=5e-4)
    cut = [r for r in rows if (r["label"], r["recipe"]) != ("none.low", "dev-lists")]
    monkeypatch.setattr(frontier.evidence, "results", lambda: cut)
    assert frontier.points() == {label: point for label, point in found.items() if label != "none.low"}
