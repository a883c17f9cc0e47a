"""What runs and comparisons have in common on a page."""

import re

import pytest

from aent.report.parts import facts, line, missing, sides
from aent.runs.read import StoredRun


def read(*folders):
    return [StoredRun.read(folder) for folder in folders]


def test_the_token_view_has_the_policy_before_training_once(make_run):
    none, aent = read(make_run("a"), make_run("b", method="aent"))
    found = sides({"none": [none], "aent": [aent]})
    assert [side.label for side in found] == ["before training", "none, after", "aent, after"]
    assert {record.completion for record in found[1].records} == {"+a0", "+a1"}
    other = read(make_run("d", method="aent", text="b*"))
    assert [side.label for side in sides({"none": [none], "aent": other})][:2] == [
        "none, before",
        "aent, before",
    ]


def test_policies_without_tokens_have_no_side(make_run):
    assert sides({"none": read(make_run("a", tokens=False))}) == []


def test_unfinished_runs_are_left_out_of_a_line_with_finished_ones(make_run):
    half = make_run("half", finished=False, rows=[{"step": 10, "reward": 0.5}])
    whole = make_run("whole", seed=4)
    names = {half.path: "half", whole.path: "whole"}
    assert len(line("none", read(half), names).seeds[0].rows) == 1
    (seed,) = line("none", read(whole, half), names).seeds
    assert (seed.name, len(seed.rows)) == ("whole", 4)


def test_facts_are_what_all_runs_share(make_run):
    task = {"name": "countdown", "numbers": 4}
    runs = read(make_run("a", seed=5, task=task), make_run("b", seed=3, task=task))
    assert facts(runs, {"machine": "Linux, 2 cores", "gpu": "none", "torch": "2"}) == {
        "Task": "countdown, numbers 4",
        "Seeds": "3, 5",
        "Steps": "40",
        "Evaluation": "3 test problems, 4 answers each, temperature 1, top-p 1",
        "Machine": "Linux, 2 cores",
    }
    assert "Machine" not in facts(runs[:1], {})
    assert facts(runs[:1], {})["Seed"] == "5"


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({}, None),
        ({"tokens": False}, "No token view.*a new run records them"),
        ({"evaluated": False}, "no evaluation.*Train without --evaluation null"),
    ],
    ids=["nothing", "tokens", "evaluation"],
)
def test_what_is_missing_is_said(changes, note, make_run):
    notes = missing(read(make_run("run", **changes)), tokens=not changes)
    assert len(notes) == (note is not None)
    assert note is None or re.search(note, notes[0])
