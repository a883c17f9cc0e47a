"""Runs that are kept: found by their settings, done once, whole after a stop."""

import json

import pytest
from rich.console import Console

from aent.errors import InputError
from aent.study import cache
from aent.study.cache import Runs, finish
from aent.study.mdp import Job
from aent.study.settings import METHODS, Bonus, World

WORLD = World(actions=100, steps=4, states=2, prior=0.1, lr=1.0)
ONE, TWO = Job(WORLD, Bonus(), (0,)), Job(WORLD, Bonus(coef=0.1), (0,))
EARLIER = (
    '{"job": {"world": {"actions": 100000, "optimal": 15, "states": 25, "steps": 4000, "prior": 0.01, '
    '"noise": 30.0, "batch": 2, "lr": 2.0}, "bonus": {"coef": 0.0005, "drop": 0.0, "target": 0.05, '
    '"band": null, "lr": 1e-05}, "seeds": [0, 1, 2, 3, 4]}, "final": [[1.0]]}\n'
)
"""A line as the first version wrote it, when this method was called "sac"."""


def test_a_run_is_found_again_by_its_settings(tmp_path):
    runs = Runs(tmp_path / "out" / "runs.jsonl")
    assert runs.missing([ONE, TWO, ONE]) == [ONE, TWO]
    runs.add(ONE, {"final": [[0.5]]})
    again = Runs(tmp_path / "out" / "runs.jsonl")
    assert again.missing([ONE, TWO]) == [TWO]
    assert again[ONE]["final"] == [[0.5]]


def test_a_run_of_an_earlier_version_is_found(tmp_path):
    (tmp_path / "runs.jsonl").write_text(EARLIER)
    job = Job(World(prior=0.01, lr=2.0), METHODS["lagrangian"], (0, 1, 2, 3, 4))
    assert Runs(tmp_path / "runs.jsonl")[job]["final"] == [[1.0]]


def test_a_line_cut_short_is_forgotten(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text(EARLIER + EARLIER[:100])
    Runs(path)
    assert path.read_text() == EARLIER


def test_a_file_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "runs.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(InputError, match=r"runs\.jsonl, line 1 is not a run"):
        Runs(tmp_path / "runs.jsonl")
    assert (tmp_path / "runs.jsonl").read_text() == '{"step": 1}\n'


def test_what_is_missing_is_done_once_in_processes_of_its_own(tmp_path, monkeypatch):
    runs, quiet = Runs(tmp_path / "runs.jsonl"), Console(quiet=True)
    finish([ONE], runs, quiet, "one", workers=2)
    assert [json.loads(line)["job"]["bonus"]["coef"] for line in runs.path.open()] == [0.0]
    assert runs[ONE]["step"] == [0, 1, 2, 3]
    monkeypatch.setattr(cache, "ProcessPoolExecutor", None)  # a second time would need it
    finish([ONE], runs, quiet, "one", workers=2)
