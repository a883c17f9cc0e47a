"""What a report takes from a comparison."""

import json
from pathlib import Path

import pytest

from aent.errors import InputError
from aent.report.from_comparison import content_of_comparison
from aent.runs.comparison import ComparisonFolder
from aent.runs.outcome import Outcome, outcome


def differences(section):
    return {(r.label, r.metric): r.difference for r in section.results}


def test_a_comparison_has_its_own_differences(compared):
    due = outcome(compared.comparison, compared)
    found = content_of_comparison(compared)
    assert found.title == "GRPO on countdown: 2 methods compared"
    (section,) = found.sections
    assert [(line.label, len(line.seeds)) for line in section.lines] == [("plain", 2), ("bonus", 2)]
    assert differences(section) == {(e.method, e.metric): e.difference for e in due.entries}
    assert differences(section)["bonus", "pass@1"] == pytest.approx((0.25, 0.25, 0.25))
    assert list(found.configs)[1:] == ["runs/plain-grpo-3/config.yaml", "runs/bonus-grpo-3/config.yaml"]
    due.save(compared.path)
    assert Outcome.load(compared) == due
    saved = json.loads((compared.path / "comparison.json").read_text())
    saved["entries"][0]["value"] = 123.0
    (compared.path / "comparison.json").write_text(json.dumps(saved))
    assert content_of_comparison(compared).sections[0].results[0].value == 123.0  # what was written counts


def test_an_unfinished_comparison_shows_the_seeds_that_all_finished(compared):
    Path(compared.path, "runs/bonus-grpo-4/after/results.json").unlink()
    found = content_of_comparison(compared)
    assert "3 of 4 runs are done" in found.notes[0]
    assert found.notes[0].endswith("finished: 3.")
    assert found.sections[0].basis == "over problems"
    Path(compared.path, "runs/plain-grpo-3/after/results.json").unlink()
    found = content_of_comparison(compared)
    assert "once all methods have finished a seed" in found.notes[0]
    assert found.sections[0].results == []
    assert len(found.sections[0].lines) == 2


def test_a_comparison_without_a_step_has_nothing_to_show(compared, tmp_path):
    fresh = ComparisonFolder(tmp_path / "fresh")
    fresh.claim(compared.comparison)
    with pytest.raises(InputError, match="no run of this comparison has anything to show yet"):
        content_of_comparison(fresh)
