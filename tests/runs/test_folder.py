import json

import pytest

from aent import InputError
from aent.runs.folder import RunFolder
from aent.runs.recipe import Recipe


def test_runs_are_numbered_and_never_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = [RunFolder.create(None, "countdown-aent", Recipe()).path for _ in range(3)]
    assert [str(p) for p in made] == [f"runs/countdown-aent-00{i}" for i in (1, 2, 3)]
    with pytest.raises(InputError, match=r"never overwrites.*--resume runs/countdown-aent-001"):
        RunFolder.create(made[0], "x", Recipe())


def test_a_run_remembers_its_recipe(tmp_path):
    recipe = Recipe(algorithm="rloo", task="lists", trainer={"learning_rate": 1e-5})
    RunFolder.create(tmp_path / "run", "x", recipe)
    assert RunFolder.open(tmp_path / "run").recipe == recipe
    versions = json.loads((tmp_path / "run/versions.json").read_text())
    assert {"aent", "torch", "trl", "python", "machine"} <= set(versions)


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(InputError, match="is not a run folder"):
        RunFolder.open(tmp_path)


def test_an_unwritable_place(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        RunFolder.create(tmp_path / "file" / "run", "x", Recipe())


def test_half_written_checkpoints_and_lines_are_passed_over(tmp_path):
    folder = RunFolder.create(tmp_path / "run", "x", Recipe())
    for name, complete in (("checkpoint-5", True), ("checkpoint-10", True), ("checkpoint-15", False)):
        (folder.path / name).mkdir()
        if complete:
            (folder.path / name / "trainer_state.json").write_text("{}")
    (folder.path / "checkpoint-15/trainer_state.json").write_text('{"epoch": 1')
    assert folder.last_checkpoint() == folder.path / "checkpoint-10"
    summary = '{"step": 10, "train_runtime": 3.0}\n'
    folder.metrics.write_text(
        '{"step": 5, "reward": 1}\n{"step": 10}\n' + summary + '{"step": 12}\n{"step": 1'
    )
    assert [row["step"] for row in folder.read_metrics()] == [5, 10, 10, 12]
    folder.cut_metrics(10)
    assert folder.metrics.read_text() == '{"step": 5, "reward": 1}\n{"step": 10}\n'


def test_a_checkpoint_with_a_cut_file_is_passed_over_and_says_why(tmp_path):
    folder = RunFolder.create(tmp_path / "run", "x", Recipe())
    for step in (5, 10, 15):
        (folder.path / f"checkpoint-{step}").mkdir()
        (folder.path / f"checkpoint-{step}/trainer_state.json").write_text("{}")
    (folder.path / "checkpoint-10/optimizer.pt").write_bytes(b"PK\x03\x04 cut")
    (folder.path / "checkpoint-15/trainer_state.json").unlink()
    assert {path.name: cut for path, cut in folder.checkpoints().items()} == {
        "checkpoint-15": "trainer_state.json is missing",
        "checkpoint-10": "optimizer.pt is cut short",
        "checkpoint-5": None,
    }
    assert folder.last_checkpoint() == folder.path / "checkpoint-5"


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
    folder = RunFolder.create(tmp_path / "run", "x", Recipe())
    folder.metrics.write_bytes(b'{"step": 5}\n\xff\x00\n{"step": 10}\n')
    with pytest.raises(InputError, match=r"metrics.jsonl.* Remove the lines"):
        folder.read_metrics()


def test_what_was_killed_while_it_was_created_is_no_run(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.config.yaml-123").write_text("algor")
    with pytest.raises(InputError, match=r"remove it, since without a config.yaml"):
        RunFolder.create(tmp_path / "run", "x", Recipe())


def test_a_folder_of_the_users_is_never_to_be_removed(tmp_path):
    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(InputError, match="already holds something") as error:
        RunFolder.create(tmp_path, "x", Recipe())
    assert "remove" not in str(error.value)


def test_the_command_that_resumes_can_be_pasted(tmp_path):
    folder = RunFolder.create(tmp_path / "lr=0.1 [x]", "x", Recipe())
    assert folder.resuming == f"aent train --resume '{tmp_path}/lr=0.1 [x]'"


def test_other_folders_with_the_name_of_a_checkpoint_are_passed_over(tmp_path):
    folder = RunFolder.create(tmp_path / "run", "x", Recipe())
    (folder.path / "checkpoint-best").mkdir()
    assert folder.checkpoints() == {}


def test_a_row_that_holds_no_metrics_is_named(tmp_path):
    folder = RunFolder.create(tmp_path / "run", "x", Recipe())
    for line, named in (("5", "5"), ("null", "None"), ("[]", r"\[\]")):
        folder.metrics.write_text(f'{{"step": 5}}\n{line}\n')
        with pytest.raises(InputError, match=rf"metrics\.jsonl is damaged: {named} is not a row"):
            folder.logged_steps()
