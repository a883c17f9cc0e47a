from pathlib import Path

import numpy as np
import pytest

from aent.errors import InputError
from aent.evaluation import EvalConfig, Evaluation, load_results
from aent.evaluation.results import estimates, per_problem
from aent.statistics import Estimate


@pytest.fixture
def evaluation(record):
    records = [
        record(0, 0, 1.0, prompt=[{"role": "user", "content": "2+2"}], completion="4\u2028é\n"),
        record(1, 0, None, None, entropy=0.25, length=2, token_texts=["<b>", "\n"], token_entropy=[0.5, 0.0]),
    ]
    return Evaluation(
        metrics={"pass@1": Estimate(0.5, 0.25, 0.75)},
        config=EvalConfig(samples=4, k=(1, 2), temperature=0.6),
        records=records,
        about={"task": {"name": "sums"}, "problems": {"asked": 5, "available": 2, "used": 2}},
    )


def test_metrics_by_hand(record):
    records = [
        # Two of four correct; a fractional score is not correct but counts in the mean score.
        record(0, 0, 1.0, "x", entropy=1.0, length=1),
        record(0, 1, 1.0, "x", entropy=2.0, length=3),
        record(0, 2, 0.5, "y", entropy=0.0, length=2),
        record(0, 3, 0.0, None, entropy=0.0, length=2),
        # One of the four has no score and is left out of what is made of scores.
        record(1, 0, None, "x", entropy=3.0, length=4),
        record(1, 1, 0.0, "z", entropy=3.0, length=4),
        record(1, 2, 0.0, "z", entropy=3.0, length=4),
        record(1, 3, 1.0, "x", entropy=3.0, length=4),
    ]
    columns = per_problem(records, (1, 3, 4))
    counted = {name: list(c.values[c.weights > 0]) for name, c in columns.items()}
    assert counted["pass@1"] == pytest.approx([2 / 4, 1 / 3])
    assert counted["pass@3"] == pytest.approx([1, 1])  # fewer than three are wrong
    assert counted["pass@4"] == pytest.approx([1])  # the second has three scored samples
    assert counted["maj@3"] == pytest.approx([1, 0])  # x x y; z z x
    assert counted["maj@4"] == pytest.approx([1])  # two votes for x, one for y, one not cast
    assert "maj@1" not in counted
    assert counted["score"] == pytest.approx([2.5 / 4, 1 / 3])
    assert counted["length"] == pytest.approx([2, 4])
    # 1*1 + 2*3 = 7 nats over 8 tokens, and 48 nats over 16: 55 / 24 over all tokens.
    assert counted["entropy"] == pytest.approx([7 / 8, 3])
    found = estimates(columns, seed=0)
    assert found["entropy"].value == pytest.approx(55 / 24)
    assert found["pass@1"].value == pytest.approx((2 / 4 + 1 / 3) / 2)


def test_a_metric_without_problems_is_left_out(record):
    found = estimates(per_problem([record(0, 0, None, length=3)], (1,)), seed=0)
    assert found == {"entropy": (1.0, 1.0, 1.0), "length": (3.0, 3.0, 3.0)}


def test_saved_results_read_back(evaluation, tmp_path):
    evaluation.save(tmp_path / "new" / "folder")
    assert load_results(tmp_path / "new" / "folder") == evaluation
    assert load_results(tmp_path / "new" / "folder" / "results.json") == evaluation
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == [
        "results.json",
        "samples.jsonl",
    ]


def test_tokens_that_were_not_kept_take_no_room_and_older_files_load(evaluation, tmp_path):
    evaluation.save(tmp_path)
    without, kept = (tmp_path / "samples.jsonl").read_text("utf-8").splitlines()[-2:]
    assert "token_texts" not in without
    assert '"token_texts": ["<b>", "\\n"], "token_entropy": [0.5, 0.0]' in kept
    assert load_results(tmp_path).records[0].token_texts is None


def test_what_json_does_not_know_is_described(evaluation, tmp_path):
    task = {"name": "sums", "data": Path("here"), "most": np.float32}
    Evaluation(metrics={}, config=evaluation.config, records=evaluation.records, about={"task": task}).save(
        tmp_path
    )
    assert "here" in load_results(tmp_path).about["task"]["data"]


@pytest.mark.parametrize("broken", ["results.json", "samples.jsonl"])
def test_a_failed_write_keeps_what_was_there(evaluation, tmp_path, monkeypatch, broken):
    evaluation.save(tmp_path)
    newer = Evaluation(metrics={}, config=EvalConfig(), records=evaluation.records[:1], about={"task": {}})
    write = Path.write_bytes

    def full_disk(path, content):
        write(path, content[:5])
        if broken in path.name:
            raise OSError(28, "No space left on device")
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full_disk)
        with pytest.raises(OSError, match="No space left"):
            newer.save(tmp_path)
    assert load_results(tmp_path) == evaluation
    assert len(list(tmp_path.iterdir())) == 2


def test_loading_refuses_what_is_not_there_or_not_ours(evaluation, tmp_path):
    with pytest.raises(InputError, match=r"no results\.json and no samples\.jsonl"):
        load_results(tmp_path)
    evaluation.save(tmp_path)
    (tmp_path / "samples.jsonl").write_text('{"problem": 0}\n')
    with pytest.raises(InputError, match="not written by an evaluation"):
        load_results(tmp_path)
    evaluation.save(tmp_path)
    (tmp_path / "results.json").write_text('{"metrics": {}}')
    with pytest.raises(InputError, match="not written by an evaluation"):
        load_results(tmp_path)


@pytest.mark.parametrize(("name", "cut"), [("samples.jsonl", -9), ("samples.jsonl", 0), ("results.json", 40)])
def test_a_file_that_is_cut_short_is_noticed(name, cut, evaluation, tmp_path):
    """Also between two answers: 0."""
    evaluation.save(tmp_path)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: cut or data.index(b"\n") + 1])
    with pytest.raises(InputError, match=r"Remove results.json and samples.jsonl there"):
        load_results(tmp_path)


def test_half_a_character_at_the_end_is_noticed(evaluation, tmp_path):
    evaluation.save(tmp_path)
    data = (tmp_path / "samples.jsonl").read_bytes()
    (tmp_path / "samples.jsonl").write_bytes(data[: data.index("é".encode()) + 1])
    with pytest.raises(InputError, match="can't decode"):
        load_results(tmp_path)
