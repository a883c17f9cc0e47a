"""What a report takes from run folders and comparisons."""

import json
import re
from pathlib import Path

import pytest

from aent.errors import InputError
from aent.evaluation import changes, load_results
from aent.report.gather import report_content
from aent.runs.comparison import Comparison, ComparisonFolder, Entrant
from aent.runs.outcome import Outcome, outcome


def content(*folders):
    return report_content([folder.path for folder in folders])


def test_runs_that_differ_in_the_seed_are_one_line(make_run):
    found = content(
        make_run("a", seed=3),
        make_run("b", seed=4),
        make_run("c", method="aent", arguments={"low": 0.1}),
        make_run("d", method="aent", arguments={"low": 0.2}),
    )
    assert found.title == "GRPO on countdown: none, aent, low 0.1, aent, low 0.2"
    (section,) = found.sections
    assert [(line.label, len(line.seeds)) for line in section.lines] == [
        ("none", 2),
        ("aent, low 0.1", 1),
        ("aent, low 0.2", 1),
    ]
    assert found.facts["Seeds"] == "3, 4"
    assert found.notes == []
    assert list(found.configs) == [f"{name}/config.yaml" for name in "abcd"]


def test_algorithms_have_sections_of_their_own(make_run):
    found = content(make_run("a"), make_run("b", algorithm="rloo"))
    assert [section.algorithm for section in found.sections] == ["GRPO", "RLOO"]


def test_changes_of_one_run_are_those_that_training_prints(make_run):
    run = make_run("a")
    (section,) = content(run).sections
    due = changes(load_results(run.before), load_results(run.after))
    assert {result.metric: result.difference for result in section.results} == due
    (passed,) = [result for result in section.results if result.metric == "pass@1"]
    assert (passed.before, passed.value) == (0.25, 0.75)  # 1 and 3 of 4 samples, in every problem
    assert section.reference == "before training"


def test_changes_over_seeds_are_means(make_run):
    (section,) = content(make_run("a", after=3), make_run("b", seed=4, after=2)).sections
    (passed,) = [result for result in section.results if result.metric == "pass@1"]
    assert passed.difference == pytest.approx((0.375, 0.25, 0.5))
    assert section.basis == "over seeds and problems"


def test_the_token_view_has_the_policy_before_training_once(make_run):
    (section,) = content(make_run("a"), make_run("b", method="aent")).sections
    assert [side.label for side in section.sides] == ["before training", "none, after", "aent, after"]
    assert {record.completion for record in section.sides[1].records} == {"+a0", "+a1"}
    (section,) = content(make_run("c"), make_run("d", method="aent", text="b*")).sections
    assert [side.label for side in section.sides][:2] == ["none, before", "aent, before"]


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"tokens": False}, "No token view.*a new run records them"),
        ({"evaluated": False}, "no evaluation.*Train without --evaluation null"),
        ({"finished": False}, "run is not finished: step 40 of 40.*aent train --resume"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_missing_is_said(changes, note, make_run):
    run = make_run("run", **changes)
    found = content(run)
    assert len(found.notes) == 1
    assert re.search(note, found.notes[0])


def test_an_unfinished_run_shows_its_curve_and_leaves_the_others_whole(make_run):
    half = make_run("half", finished=False, rows=[{"step": 10, "reward": 0.5}])
    assert len(content(half).sections[0].lines[0].seeds[0].rows) == 1
    (section,) = content(make_run("whole", seed=4), half).sections
    assert [len(seed.rows) for seed in section.lines[0].seeds] == [4]


def test_runs_that_do_not_compare_are_refused(make_run, tmp_path):
    plain = make_run("plain")
    other = make_run("other", task={"name": "countdown", "numbers": 4})
    with pytest.raises(InputError, match=r"different settings of task.*plain.*other.*make a report of each"):
        content(plain, other)
    with pytest.raises(InputError, match="holds neither a run of aent train"):
        report_content([tmp_path])
    with pytest.raises(InputError, match=r"nothing to show yet.*aent train --resume"):
        content(make_run("begun", evaluated=False, rows=[], finished=False))


@pytest.fixture
def compared(make_run, tmp_path):
    comparison = Comparison(
        recipe="countdown",
        entrants={"plain": Entrant(method="none"), "bonus": Entrant(method="aent", flags=("--beta", "0"))},
        algorithms=("grpo",),
        seeds=(3, 4),
        baseline="plain",
    )
    folder = ComparisonFolder(tmp_path / "compared")
    folder.claim(comparison)
    for job in comparison.jobs:
        name = comparison.entrants[job.label].method
        after = 1 if job.label == "plain" else 2
        make_run(f"compared/runs/{job.name}", method=name, seed=job.seed, after=after)
    return folder


def differences(section):
    return {(r.label, r.metric): r.difference for r in section.results}


def test_a_comparison_has_its_own_differences(compared):
    due = outcome(compared.comparison, compared)
    found = report_content([compared.path])
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
    assert report_content([compared.path]).sections[0].results[0].value == 123.0  # what was written counts


def test_an_unfinished_comparison_shows_the_seeds_that_all_finished(compared):
    Path(compared.path, "runs/bonus-grpo-4/after/results.json").unlink()
    found = report_content([compared.path])
    assert "3 of 4 runs are done" in found.notes[0]
    assert found.notes[0].endswith("finished: 3.")
    assert found.sections[0].basis == "over problems"
    Path(compared.path, "runs/plain-grpo-3/after/results.json").unlink()
    found = report_content([compared.path])
    assert "once all methods have finished a seed" in found.notes[0]
    assert found.sections[0].results == []
    assert len(found.sections[0].lines) == 2


def test_a_comparison_is_shown_alone_and_not_before_it_began(compared, make_run, tmp_path):
    with pytest.raises(InputError, match="give it alone, or run folders only"):
        report_content([compared.path, make_run("run").path])
    fresh = ComparisonFolder(tmp_path / "fresh")
    fresh.claim(compared.comparison)
    with pytest.raises(InputError, match="no run of this comparison has anything to show yet"):
        report_content([fresh.path])
