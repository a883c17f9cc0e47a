"""What a report takes from run folders."""

from pathlib import Path

import pytest

from aent.errors import InputError
from aent.evaluation import changes, load_results
from aent.report.from_runs import content_of_runs
from aent.runs.folder import RunFolder
from aent.runs.read import StoredRun


def content(*folders):
    return content_of_runs([StoredRun.read(folder) for folder in folders])


def test_a_whole_number_that_an_earlier_version_kept_as_a_float_is_no_difference(make_run):
    found = content(
        make_run("old", seed=3, trainer={"warmup_steps": 10.0}),
        make_run("new", seed=4, trainer={"warmup_steps": 10}),
    )
    assert [(line.label, len(line.seeds)) for line in found.sections[0].lines] == [("none", 2)]


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


def test_a_setting_that_only_one_run_has_makes_a_line_of_its_own(make_run):
    """Each pair had one label, and the second run took the place of the first."""
    runs = make_run("a"), make_run("b", arguments={"low": None})
    (section,) = content(*runs).sections
    assert [line.label for line in section.lines] == ["none", "none, low None"]
    rates = {"trainer": {"learning_rate": 0.001}}, {"policy": {"learning_rate": 0.001}}
    (section,) = content(*(make_run(f"rate-{at}", **rate) for at, rate in enumerate(rates))).sections
    assert [line.label for line in section.lines] == [
        "none, policy None, trainer.learning_rate 0.001",
        "none, policy.learning_rate 0.001",
    ]


def test_folders_of_one_name_are_told_apart(make_run, monkeypatch):
    """Their rows had one name in logged.csv, and one of the recipes was left out."""
    found = content(make_run("s3/run", seed=3), make_run("s4/run", seed=4))
    assert list(found.configs) == ["s3/run/config.yaml", "s4/run/config.yaml"]
    assert [seed.name for seed in found.sections[0].lines[0].seeds] == ["s3/run", "s4/run"]
    monkeypatch.chdir(make_run("here").path)
    assert list(content(RunFolder(Path())).configs) == ["here/config.yaml"]


def test_a_seed_that_is_there_twice_is_said(make_run):
    one, two, other = make_run("a"), make_run("b"), make_run("c", seed=4)
    (note,) = content(one, two, other).notes
    assert note.startswith("a, b have the same settings and seed 3 but count as 2 seeds here")
    (note,) = content(one, make_run("stopped", finished=False)).notes  # which no line shows
    assert note.startswith("stopped is not finished")


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


def test_an_unfinished_run_shows_its_curve_and_leaves_the_others_whole(make_run):
    half = make_run("half", finished=False, rows=[{"step": 10, "reward": 0.5}])
    assert len(content(half).sections[0].lines[0].seeds[0].rows) == 1
    (section,) = content(make_run("whole", seed=4), half).sections
    assert [len(seed.rows) for seed in section.lines[0].seeds] == [4]


def test_intervals_cover_the_seeds_that_were_evaluated(make_run):
    """Two seeds are on the page; the results come from one, and then from none."""
    half = make_run("half", finished=False)
    (section,) = content(make_run("whole", seed=4), half).sections
    assert section.basis == "over problems"
    (passed,) = [result for result in section.results if result.metric == "pass@1"]
    assert passed.difference == pytest.approx((0.5, 0.5, 0.5))  # from 1 to 3 of 4 samples in every problem
    (section,) = content(half, make_run("other", seed=4, finished=False)).sections
    assert (section.basis, section.results) == ("over problems", [])


def test_an_unfinished_run_says_how_to_resume_it(make_run):
    run = make_run("my run", finished=False)
    (note,) = content(run).notes
    assert note == (
        "my run is not finished: step 40 of 40. The page shows what exists so far; resume it with "
        f"aent train --resume '{run.path}'"
    )


def test_runs_that_do_not_compare_are_refused(make_run):
    plain = make_run("plain")
    other = make_run("other", task={"name": "countdown", "numbers": 4})
    with pytest.raises(InputError, match=r"different settings of task.*plain.*other.*make a report of each"):
        content(plain, other)
    with pytest.raises(InputError, match=r"nothing to show yet.*aent train --resume"):
        content(make_run("begun", evaluated=False, rows=[], finished=False))
