"""What callbacks print and keep."""

import json
from types import SimpleNamespace

import pytest
from rich.console import Console

from aent.training.callbacks import AlreadyTrained, AtTheEnd, MetricsFile, ProgressLines

STATE = SimpleNamespace(is_world_process_zero=True, global_step=5, max_steps=40)
OTHER_RANK = SimpleNamespace(is_world_process_zero=False, global_step=5, max_steps=40)


@pytest.fixture
def console():
    return Console(width=120, record=True)


def test_a_line_for_each_logged_step_and_none_for_the_summary(console):
    lines = ProgressLines(console, "grpo aent")
    lines.on_log(None, STATE, None, logs={"loss": 0.0, "reward": 0.25, "aent/coef": 0.0126712})
    lines.on_log(None, STATE, None, logs={"train_runtime": 3.0})
    lines.on_log(None, OTHER_RANK, None, logs={"loss": 0.0, "reward": 0.5})
    assert console.export_text() == "step  5/40  reward 0.250  coef 0.01267\n"


def test_rows_are_on_disk_at_once_and_only_from_the_main_process(tmp_path):
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.on_log(None, STATE, None, logs={"loss": 0.5})
    file.on_log(None, OTHER_RANK, None, logs={"loss": 0.7})
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows == [{"step": 5, "loss": 0.5}]


@pytest.mark.parametrize(("step", "total", "over"), [(39, 40, False), (40, 40, True), (5, 0, False)])
def test_a_run_at_its_last_step_takes_no_other(step, total, over):
    state = SimpleNamespace(global_step=step, max_steps=total)
    if over:
        with pytest.raises(AlreadyTrained):
            AtTheEnd().on_train_begin(None, state, None)
    else:
        AtTheEnd().on_train_begin(None, state, None)
