"""CSV and SVG files of a report."""

import csv
import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from aent.errors import InputError
from aent.report.chart import training_charts
from aent.report.content import Line, Seed
from aent.report.export import picture, write_export
from aent.report.gather import report_content
from aent.statistics import Estimate


@pytest.fixture
def content(make_run):
    """Two seeds of one method with a band, and one of another."""
    logged = {"aent/entropy": 0.5, "aent/low": 0.3, "aent/high": math.inf}

    def rows(*rewards):
        return [{"step": 10 * t, "reward": r, **logged} for t, r in enumerate(rewards, 1)]

    return report_content(
        [
            make_run("a", method="aent", rows=rows(0.0, 0.5)).path,
            make_run("b", method="aent", seed=4, rows=rows(0.2, 0.9)).path,
            make_run("c", rows=[{"step": 10, "reward": 0.1}, {"step": 20, "reward": math.nan}]).path,
        ]
    )


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_curves_hold_what_the_charts_show(content, tmp_path):
    write_export(content, tmp_path / "out")
    rows = table(tmp_path / "out/curves.csv")
    reward = [(r["line"], *(float(r[k]) for k in ("x", "value", "low", "high"))) for r in rows
              if r["chart"] == "Reward"]  # fmt: skip
    assert reward[:3] == [
        ("aent", 10, pytest.approx(0.1), 0.0, 0.2),
        ("aent", 20, pytest.approx(0.7), 0.5, 0.9),
        ("none", 10, 0.1, 0.1, 0.1),
    ]
    assert math.isnan(reward[3][2])
    held = [r for r in rows if r["chart"] == "Entropy held to a target"]
    assert {(r["line"], r["value"], r["target_low"], r["target_high"]) for r in held} == {
        ("aent", "0.5", "0.3", "inf")
    }
    passed = {(r["line"], r["x"]): float(r["value"]) for r in rows if r["chart"] == "pass@k"}
    assert passed["before training", "1.0"] == 0.25  # 1 of 4 samples in every problem
    assert passed["none", "1.0"] == 0.75
    assert {r["section"] for r in rows} == {"GRPO"}


def test_logged_rows_are_those_of_the_runs_and_name_them(content, tmp_path):
    write_export(content, tmp_path / "out")
    rows = table(tmp_path / "out/logged.csv")
    assert list(rows[0])[:4] == ["section", "line", "run", "step"]
    assert [(r["line"], r["run"], r["step"], r["reward"]) for r in rows] == [
        ("aent", "a", "10", "0.0"),
        ("aent", "a", "20", "0.5"),
        ("aent", "b", "10", "0.2"),
        ("aent", "b", "20", "0.9"),
        ("none", "c", "10", "0.1"),
        ("none", "c", "20", "nan"),
    ]
    assert rows[-1]["aent/entropy"] == ""


def test_results_are_those_of_the_page(content, tmp_path):
    write_export(content, tmp_path / "out")
    (row,) = [
        r for r in table(tmp_path / "out/results.csv") if (r["line"], r["metric"]) == ("none", "pass@1")
    ]
    (due,) = [r for r in content.sections[0].results if (r.label, r.metric) == ("none", "pass@1")]
    assert (float(row["before"]), float(row["value"])) == (0.25, 0.75)
    assert tuple(float(row[k]) for k in ("difference", "low", "high")) == due.difference
    assert row["against"] == "before training"


def test_bounds_that_do_not_exist_are_empty_cells(content, tmp_path):
    section = content.sections[0]
    alone = replace(section.results[0], difference=Estimate(0.5, math.nan, math.nan))
    write_export(replace(content, sections=[replace(section, results=[alone])]), tmp_path / "data")
    (row,) = table(tmp_path / "data" / "results.csv")
    assert (row["difference"], row["low"], row["high"]) == ("0.5", "", "")


def test_every_chart_is_an_svg_that_any_program_can_draw(content, tmp_path):
    """Only browsers know ``var()``; a name that XML does not allow would be refused."""
    write_export(content, tmp_path / "out")
    due = {
        "reward.svg": {"aent", "none"},
        "entropy-held-to-a-target.svg": {"aent"},
        "pass-at-k.svg": {"before training", "aent", "none"},
    }
    assert {path.name for path in (tmp_path / "out").glob("*.svg")} == {*due}
    for name, labels in due.items():
        text = (tmp_path / "out" / name).read_text()
        assert "var(" not in text
        assert "http" not in re.sub(r'xmlns="[^"]+"', "", text)
        root = ElementTree.fromstring(text)
        assert labels <= {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    reward = (tmp_path / "out/reward.svg").read_text()
    (chart,) = [c for c in training_charts(content.sections[0].lines) if c.title == "Reward"]
    assert all(f'd="{trace.line}"' in reward for trace in chart.traces)


def test_a_label_cannot_leave_its_place_in_a_picture():
    hostile = '</text><script>1</script>\u202e&"'
    (chart,) = training_charts(
        [
            Line(
                label=hostile,
                seeds=[Seed(name="x", rows=[{"step": 1, "reward": 1.0}], before=None, after=None)],
            )
        ]
    )
    root = ElementTree.fromstring(picture(chart))
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
    assert "\u202e" not in picture(chart)


def test_with_several_algorithms_the_name_of_a_picture_begins_with_theirs(make_run, tmp_path):
    both = report_content([make_run("a").path, make_run("b", algorithm="rloo").path])
    write_export(both, tmp_path / "out")
    assert {"grpo-reward.svg", "rloo-reward.svg"} <= {path.name for path in (tmp_path / "out").iterdir()}


def test_an_earlier_export_is_replaced_and_nothing_else(content, tmp_path):
    out = tmp_path / "out"
    write_export(content, out)
    write_export(replace(content, sections=[replace(content.sections[0], lines=[])]), out)
    assert {path.name for path in out.iterdir()} == {"curves.csv", "results.csv", "logged.csv"}
    for name in ("results.csv", "mine.svg", "mine.txt"):
        other = tmp_path / f"other-{name}"
        other.mkdir()
        (other / name).write_text("mine")
        with pytest.raises(InputError, match=f"holds {name}, which no export wrote; give a new or empty"):
            write_export(content, other)
        assert [path.read_text() for path in other.iterdir()] == ["mine"]


def test_a_folder_that_cannot_be_made_is_one_message(content, tmp_path):
    (tmp_path / "file").write_text("")
    for place in ("file", "file/out"):
        with pytest.raises(InputError, match=r"the export cannot be written.*Give another folder"):
            write_export(content, tmp_path / place)
