"""TensorBoard's event files."""

import sys

import pytest

from aent.errors import InputError
from aent.logs.events import rows_of_events

pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install -e '.[dev]'")
from torch.utils.tensorboard import SummaryWriter


def written(folder, values):
    with SummaryWriter(str(folder)) as writer:
        for step, value in values:
            writer.add_scalar("train/entropy", value, step)
    return list(folder.glob("events.out.tfevents.*"))


def test_every_scalar_is_a_row_and_none_is_sampled_away(tmp_path):
    values = [(step, step / 4) for step in range(12_000)]
    assert rows_of_events(written(tmp_path, values)) == [{"step": s, "train/entropy": v} for s, v in values]


def test_files_without_scalars_are_refused(tmp_path):
    with pytest.raises(InputError, match="hold no scalars"):
        rows_of_events(written(tmp_path, []))


def test_without_tensorboard_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.backend.event_processing.event_accumulator", None)
    with pytest.raises(InputError, match="pip install tensorboard"):
        rows_of_events(written(tmp_path, [(1, 2.0)]))
