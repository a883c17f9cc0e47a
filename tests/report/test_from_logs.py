"""What a report takes from logs."""

from pathlib import Path

import pytest

from aent.logs.read import Log
from aent.report.from_logs import with_logs
from aent.report.gather import report_content
from aent.report.page import page


def log(path="a.csv", *, reward=0.5):
    rows = [{"step": step, "reward": reward, "entropy": 0.6} for step in (5.0, 10.0)]
    return Log(source=Path(path), kind="CSV", host="verl", rows=rows)


def labels(*paths, taken=None):
    content = with_logs(taken, {Path(path): log(path) for path in paths})
    return [line.label for line in content.sections[0].lines]


@pytest.mark.parametrize(
    ("paths", "due"),
    [
        (["out/run.log"], ["run.log"]),
        (["a/checkpoint-9", "b/checkpoint-9"], ["a/checkpoint-9", "b/checkpoint-9"]),
        (["x/a/run.log", "y/a/run.log", "z.csv"], ["x/a/run.log", "y/a/run.log", "z.csv"]),
    ],
)
def test_a_label_is_the_shortest_end_of_the_path_that_tells_logs_apart(paths, due, monkeypatch, tmp_path):
    assert [label[-len(wanted) :] for label, wanted in zip(labels(*paths), due, strict=True)] == due
    assert labels(paths[0]) == [Path(paths[0]).name]


def test_a_label_is_not_that_of_a_run(make_run, tmp_path):
    content = report_content([make_run("run").path])
    assert labels(str(tmp_path / "none"), taken=content) == ["none", f"{tmp_path.name}/none"]


def test_a_page_says_what_a_log_does_not(make_run):
    content = with_logs(report_content([make_run("run").path]), {Path("a.csv"): log()})
    assert content.title == "GRPO on countdown: none, a.csv"
    assert content.facts["Logs"] == "a.csv: CSV (verl), 2 logged rows, steps 5 to 10"
    assert content.facts["Task"] == "countdown"
    (note,) = content.notes
    assert note.startswith("From logs alone: a.csv. A log does not say on which task")
    assert [result.label for result in content.sections[0].results] == ["none"] * len(
        content.sections[0].results
    )


def test_every_algorithm_is_shown_beside_the_log(make_run):
    own = report_content([make_run("a").path, make_run("b", algorithm="rloo").path])
    content = with_logs(own, {Path("a.csv"): log()})
    assert [[line.label for line in s.lines] for s in content.sections] == [["none", "a.csv"]] * 2


def test_a_page_of_logs_alone_has_curves_and_no_settings():
    text = page(with_logs(None, {Path("a.csv"): log(), Path("b.csv"): log("b.csv", reward=0.1)}))
    assert "<title>a.csv, b.csv · aent report</title>" in text
    assert text.count("<figure>") == 2
    assert "a.csv: 0.5\nb.csv: 0.1" in text
    assert "Settings and versions" not in text
    assert "Results" not in text
