"""A log from whatever lies at a path."""

import csv
import json

import pytest

from aent.errors import InputError
from aent.logs.read import read_log

from ..diagnosis.conftest import as_verl


def test_every_form_of_one_run_gives_the_same_rows(run, state, tmp_path):
    rows = run("steady")
    from_state = read_log(state(rows))
    assert (from_state.kind, from_state.host) == ("trainer_state.json", "TRL")
    assert [row["entropy"] for row in from_state.rows] == [row["entropy"] for row in rows]

    table = tmp_path / "history.csv"
    with table.open("w", newline="") as file:
        columns = {key: f"train/{key}" for key in rows[0]} | {"step": "train/global_step"}
        writer = csv.DictWriter(file, ["_step", *columns.values()])
        writer.writeheader()
        writer.writerows({"_step": i} | {columns[k]: v for k, v in row.items()} for i, row in enumerate(rows))
    lines = tmp_path / "rows.jsonl"
    lines.write_text("\n".join(map(json.dumps, rows)))
    for path in (table, lines):
        assert read_log(path).rows == from_state.rows


def test_file_log_and_console_of_verl_agree(run, tmp_path):
    rows = [as_verl(row) for row in run("falling")]
    lines, console = tmp_path / "run.jsonl", tmp_path / "run.log"
    lines.write_text("\n".join(json.dumps({"step": r["training/global_step"], "data": r}) for r in rows))
    console.write_text(
        "\n".join(
            " - ".join(
                [
                    f"(TaskRunner pid=1) step:{r['training/global_step']}",
                    *(f"{k}:{v!r}" for k, v in r.items()),
                ]
            )
            for r in rows
        )
    )
    logs = [read_log(lines), read_log(console)]
    assert [log.host for log in logs] == ["verl", "verl"]
    assert logs[1].kind == "verl's console"
    assert logs[0].rows == logs[1].rows
    assert logs[0].rows[0].keys() >= {
        "entropy",
        "reward",
        "completions/mean_length",
        "clip_ratio/region_mean",
    }


def test_verls_event_files_are_read(run, tmp_path):
    """verl logs the step as one more scalar, and an event file has every scalar by itself."""
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install -e '.[dev]'")
    from torch.utils.tensorboard import SummaryWriter

    rows = [as_verl(row) for row in run("falling")]
    with SummaryWriter(str(tmp_path)) as writer:
        for row in rows:
            for name, value in row.items():
                writer.add_scalar(name, value, row["training/global_step"])
    log = read_log(tmp_path)
    assert (log.kind, log.host) == ("TensorBoard", "verl")
    assert [row["step"] for row in log.rows] == [row["training/global_step"] for row in rows]
    assert [row["entropy"] for row in log.rows] == pytest.approx([row["actor/entropy"] for row in rows])


def test_of_a_folder_of_checkpoints_the_newest_state_counts(run, state, tmp_path):
    state(run("steady")[:5], "checkpoint-9")
    newest = state(run("steady"), "checkpoint-10")
    assert read_log(tmp_path).source == newest


def test_a_run_folder_of_aent(make_run):
    folder = make_run("mine", rows=[{"step": t, "reward": t / 40, "entropy": 0.5} for t in (10, 20, 30)])
    log = read_log(folder.path)
    assert (log.kind, len(log.rows)) == ("run folder of aent", 3)


def test_a_folder_of_event_files(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install -e '.[dev]'")
    from torch.utils.tensorboard import SummaryWriter

    for name in ("one", "two"):
        with SummaryWriter(str(tmp_path / name)) as writer:
            writer.add_scalar("train/reward", 0.5, 3)
    assert read_log(tmp_path / "one").rows == [{"step": 3, "reward": 0.5}]
    with pytest.raises(InputError, match="event files of several runs; give one of one, two"):
        read_log(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("log.txt", "training started\nloss 0.3\n", "no line with step:N"),
        ("log.json", "[]", "holds no rows"),
        ("log.csv", "reward,entropy\n1,2\n", "has no step among its columns: reward, entropy"),
        ("log.csv", "step,bleu\n1,2\n", "logs neither entropy nor reward. It has step, bleu"),
        ("log.json", "{", "it is not JSON"),
        ("log.bin", b"\xff\xfe\x00\x01", "is not text"),
    ],
)
def test_what_cannot_be_read_is_said_with_what_can(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message):
        read_log(path)


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_log(tmp_path / "no")
    with pytest.raises(InputError, match=r"holds no metrics.jsonl, trainer_state.json"):
        read_log(tmp_path)


def test_a_folder_of_run_folders_names_them(make_run, tmp_path):
    for number in range(5):
        make_run(f"runs/run-{number}")
    shown = ", ".join(f"{tmp_path}/runs/run-{number}" for number in range(4))
    with pytest.raises(InputError, match=f"it holds runs; give them by name: {shown}, ...$"):
        read_log(tmp_path / "runs")
