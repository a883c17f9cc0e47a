"""Both studies from settings to files; the command line's side of it is in tests/cli/test_study.py."""

import csv
import io
import json

import pytest
from rich.console import Console

from aent.errors import InputError
from aent.study import experiments, theory
from aent.study.experiments import check_propositions, compare_methods, repeat_search
from aent.study.settings import METHODS, World

TINY = World(actions=300, steps=40, states=3, prior=0.01, lr=2.0)


def console():
    return Console(file=io.StringIO(), width=120)


def test_the_sweeps_use_the_first_two_seeds(tmp_path, monkeypatch):
    monkeypatch.setattr(
        experiments.plans, "vocabulary", lambda world: experiments.plans.sensitivity(world)[:3]
    )
    seen = []
    monkeypatch.setattr(
        experiments, "finish", lambda jobs, runs, *_: seen.append({job.seeds for job in jobs})
    )
    monkeypatch.setattr(experiments.plans, "row", lambda runs, cell, seeds: {"method": cell.method})
    for drawn in ("draw_mdp", "draw_sweep"):
        monkeypatch.setattr(experiments.figures, drawn, lambda *_: None)
    for table in ("comparison_table", "sweep_table"):
        monkeypatch.setattr(experiments, table, lambda *_: "")
    monkeypatch.setattr(experiments.plans, "verdicts", lambda rows: [])
    compare_methods(TINY, (5, 6, 7), folder=tmp_path, full=True, workers=1, console=console())
    assert seen == [{(5, 6, 7)}, {(5, 6)}, {(5, 6)}]
    assert set(json.loads((tmp_path / "results.json").read_text())["methods"]) == set(METHODS)


def test_a_violation_is_printed_with_its_mdp(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "SHAPES", theory.SHAPES[:1])
    monkeypatch.setattr(theory, "ROUNDING", -1.0)  # so that the tightest cases count as violated
    out = console()
    violations = check_propositions((3,), folder=tmp_path, full=False, console=out)
    assert violations
    printed = out.file.getvalue()
    assert printed.count("VIOLATED: Case(") == len(violations)
    assert theory.describe(violations[0]) in printed
    with (tmp_path / "cases.csv").open(newline="") as file:
        assert [row["where"] for row in csv.DictReader(file)][:2] == ["3/0/0", "3/0/1"]


def test_full_counts_on_from_the_last_seed(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "SHAPES", theory.SHAPES[:1])
    folder, out = tmp_path / "[study]", console()
    check_propositions((4, 2), folder=folder, full=True, console=out)
    assert json.loads((folder / "results.json").read_text())["seeds"] == [4, 2, *range(5, 23)]
    assert f"{folder}: cases.csv" in out.file.getvalue()  # brackets are no markup


def test_the_search_prints_what_it_found_beside_what_is_in_use(tmp_path, monkeypatch):
    found = {**METHODS, "band": METHODS["clamped"]}
    monkeypatch.setattr(experiments, "search", lambda *_: (TINY, found))
    out = console()
    repeat_search(folder=tmp_path, workers=1, console=out)
    lines = out.file.getvalue().splitlines()
    assert lines[0] == f"world: {TINY}"
    assert "prior=0.01" in lines[1]
    assert lines[lines.index(f"clamped: {METHODS['clamped']}") + 1] == "in the settings: the same"
    assert lines[lines.index(f"band: {METHODS['clamped']}") + 1] == f"in the settings: {METHODS['band']}"


@pytest.mark.parametrize("workers", [0, -2])
def test_the_search_needs_a_process(workers, tmp_path):
    with pytest.raises(InputError, match=f"{workers} must be at least 1"):
        repeat_search(folder=tmp_path, workers=workers, console=console())
