import json

import pytest

from aent.errors import InputError
from aent.evaluation import Journal

SETTINGS = {"task": {"name": "sums", "numbers": (1, 2)}, "samples": 2}


def test_whole_batches_are_kept_and_a_torn_one_is_forgotten(record, tmp_path):
    batches = [
        [record(0, 0, 1.0), record(0, 1, None)],
        [record(1, 0, 0.0, completion="\u2028"), record(1, 1, 1.0)],
    ]
    journal = Journal.open(tmp_path / "new" / "folder", SETTINGS, 2)
    assert journal.records() == []
    for batch in batches:
        journal.append(batch)
    written = (journal.folder / "samples.jsonl").read_bytes()
    for torn in (len(written) - 1, len(written) - 40):
        (journal.folder / "samples.jsonl").write_bytes(written[:torn])
        again = Journal.open(journal.folder, SETTINGS, 2)
        assert again.records() == batches[0]
        again.append(batches[1])
        assert (journal.folder / "samples.jsonl").read_bytes() == written
    assert not journal.finished


def test_other_settings_are_refused_and_named(record, tmp_path):
    Journal.open(tmp_path, SETTINGS, 2).append([record(0, 0, 1.0)])
    before = (tmp_path / "settings.json").read_bytes()
    with pytest.raises(InputError, match=r"other settings \(samples: 2 there, 4 now\)"):
        Journal.open(tmp_path, {**SETTINGS, "samples": 4}, 2)
    assert (tmp_path / "settings.json").read_bytes() == before
    assert json.loads(before)["task"]["numbers"] == [1, 2]


def test_settings_without_an_answer_can_be_corrected(record, tmp_path):
    """As a batch size that does not fit in memory: the error advises another."""
    Journal.open(tmp_path, SETTINGS, 2)
    (tmp_path / ".lock").touch()
    Journal.open(tmp_path, {**SETTINGS, "samples": 4}, 2).append([record(0, 0, 1.0)])
    assert json.loads((tmp_path / "settings.json").read_text())["samples"] == 4


def test_a_field_that_an_earlier_version_did_not_have_may_be_unset(record, tmp_path):
    Journal.open(tmp_path, SETTINGS, 2).append([record(0, 0, 1.0)])
    task = SETTINGS["task"]
    Journal.open(tmp_path, {**SETTINGS, "task": {**task, "chat": False, "system": None}, "dtype": None}, 2)
    with pytest.raises(InputError, match="chat"):
        Journal.open(tmp_path, {**SETTINGS, "task": {**task, "chat": True}}, 2)


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "precious").write_text("x")
    with pytest.raises(InputError, match="already holds something"):
        Journal.open(tmp_path, SETTINGS, 2)
    assert [file.name for file in tmp_path.iterdir()] == ["precious"]


def test_a_damaged_journal_is_named_and_left_alone(record, tmp_path):
    journal = Journal.open(tmp_path, SETTINGS, 1)
    journal.append([record(0, 0, 1.0)])
    whole = (tmp_path / "samples.jsonl").read_bytes()
    (tmp_path / "samples.jsonl").write_bytes(b"\x00\x00\n" + whole)
    with pytest.raises(InputError, match=r"samples.jsonl is damaged.*Remove it"):
        journal.records()
    assert (tmp_path / "samples.jsonl").read_bytes() == b"\x00\x00\n" + whole
    (tmp_path / "settings.json").write_text('{"task": ')
    with pytest.raises(InputError, match=r"settings.json is damaged"):
        Journal.open(tmp_path, SETTINGS, 1)
