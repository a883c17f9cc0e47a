"""Run folders read back."""

import json

import pytest

from aent import InputError
from aent.runs.read import StoredRun, finished_or_all, records_with_tokens, versions_of


def test_a_finished_run(make_run):
    run = StoredRun.read(make_run("run", method="aent", seed=7))
    assert (run.seed, run.task, run.finished, run.empty) == (7, "countdown", True, False)
    assert [row["step"] for row in run.rows] == [10, 20, 30, 40]
    assert run.before is not None
    assert run.after is not None
    assert run.before.records == []  # the answers stay on disk
    assert run.before.metrics["pass@1"].value == 0.25
    assert versions_of([run.folder.path])["aent"]


def test_evaluations_and_summaries_are_no_steps(make_run):
    folder = make_run("run")
    with folder.metrics.open("a") as file:
        file.write('{"step": 40, "eval_reward": 1.0}\n{"step": 40, "train_runtime": 3.0}\n')
    assert [row["step"] for row in StoredRun.read(folder).rows] == [10, 20, 30, 40]


def test_an_interrupted_run_is_not_finished_and_one_without_rows_is_empty(make_run):
    half = StoredRun.read(make_run("half", finished=False))
    assert (half.finished, half.empty, half.after) == (False, False, None)
    bare = StoredRun.read(make_run("bare", finished=False, evaluated=False, rows=[]))
    assert bare.empty
    whole = StoredRun.read(make_run("whole"))
    assert finished_or_all([half, whole]) == [whole]
    assert finished_or_all([half, bare]) == [half, bare]


def test_without_evaluation_training_is_the_end(make_run):
    assert StoredRun.read(make_run("run", evaluated=False)).finished


def test_all_answers_to_the_problems_whose_tokens_were_kept(make_run):
    """Two of the four answers to each of the three problems have tokens; the other two come with them."""
    assert len(records_with_tokens(make_run("run").after)) == 12
    assert records_with_tokens(make_run("plain", tokens=False).after) == []
    assert records_with_tokens(make_run("none", evaluated=False).after) == []


def test_versions_of_an_old_folder_are_unknown(tmp_path):
    assert versions_of([tmp_path]) == {}
    (tmp_path / "versions.json").write_text(json.dumps({"aent": "0.1.0"}))
    assert versions_of([tmp_path]) == {"aent": "0.1.0"}


def test_versions_of_runs_made_with_different_ones_are_all_named(tmp_path):
    versions = {"one": {"torch": "2.12.0", "peft": "0.21.2"}, "two": {"torch": "2.13.0"}, "old": None}
    for name, said in versions.items():
        (tmp_path / name).mkdir()
        if said:
            (tmp_path / name / "versions.json").write_text(json.dumps(said))
    folders = [tmp_path / name for name in versions]
    assert versions_of(folders) == {"torch": "2.12.0 and 2.13.0", "peft": "0.21.2 and none"}


def test_versions_that_cannot_be_read_are_named(make_run):
    folder = make_run("run").path
    (folder / "versions.json").write_text('{"aent": "0.')
    with pytest.raises(InputError, match=r"versions.json is not JSON.*Remove it"):
        versions_of([folder])
