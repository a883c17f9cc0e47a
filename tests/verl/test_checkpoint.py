"""The controller's state beside a checkpoint of verl."""

from types import SimpleNamespace

import pytest

from aent import InputError
from aent.verl.checkpoint import folder_of_step, folder_to_resume, load, save


def config(folder, **trainer):
    defaults = {"default_local_dir": str(folder), "resume_mode": "auto", "resume_from_path": None}
    return SimpleNamespace(trainer=SimpleNamespace(**{**defaults, **trainer}))


def test_what_is_saved_is_found_where_verl_resumes(tmp_path):
    plain = config(tmp_path)
    assert folder_to_resume(plain) is None
    save(folder_of_step(plain, 3), {"method": "aent"})
    assert folder_to_resume(plain) is None  # verl has not marked it
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("3")
    assert folder_to_resume(plain) == tmp_path / "global_step_3"
    assert load(folder_to_resume(plain)) == {"method": "aent"}
    assert folder_to_resume(config(tmp_path, resume_mode="disable")) is None


def test_a_path_given_by_the_user_wins_over_the_latest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "elsewhere" / "global_step_7", {"method": "siren"})
    chosen = config(tmp_path, resume_mode="resume_path", resume_from_path="elsewhere/global_step_7")
    assert load(folder_to_resume(chosen)) == {"method": "siren"}


def test_a_checkpoint_of_another_trainer_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no aent\.json: it was not written by one of aent's trainers"):
        load(tmp_path)


def test_a_path_that_is_missing_or_leads_nowhere(tmp_path):
    with pytest.raises(InputError, match=r"resume_mode=resume_path needs trainer\.resume_from_path"):
        folder_to_resume(config(tmp_path, resume_mode="resume_path"))
    with pytest.raises(InputError, match=r"there is no folder .*global_step_7 to resume from; check"):
        load(tmp_path / "global_step_7")


@pytest.mark.parametrize("length", [0, 1, 20, -2])
def test_a_state_that_was_cut_short_is_refused(tmp_path, length):
    save(tmp_path, {"method": "aent", "controller": {"coef": 0.01}})
    file = tmp_path / "aent.json"
    file.write_text(file.read_text()[:length])
    with pytest.raises(InputError, match=r"aent\.json is damaged: .*Resume from an earlier checkpoint"):
        load(tmp_path)
