"""``aent study`` on worlds that take a moment."""

import csv
import json

import pytest

from aent.cli.main import main
from aent.errors import InputError
from aent.study.cache import Runs

TINY = ["--world.steps", "40", "--world.actions", "300", "--world.states", "3", "--workers", "1"]


def test_mdp_from_nothing_to_the_picture_and_again(workplace, capsys):
    argv = ["study", "mdp", "--output", "out", "--seeds", "0", "1", *TINY]
    assert main(argv) == 0
    printed = capsys.readouterr().out
    for shown in ("per seed", "paper", "clamped > entropy >= none", "the plain bonus gains"):
        assert shown in printed
    assert (workplace / "out/study-mdp.png").read_bytes().startswith(b"\x89PNG")
    results = json.loads((workplace / "out/results.json").read_text())
    assert results["seeds"] == [0, 1]
    assert results["world"]["steps"] == 40
    assert results["versions"]["numpy"]
    assert len(results["rows"]) == 6 * 4
    assert all(r["reward_low"] <= r["reward"] <= r["reward_high"] for r in results["rows"])
    with (workplace / "out/results.csv").open() as file:
        assert [row["method"] for row in csv.DictReader(file)] == [r["method"] for r in results["rows"]]

    # again, after a stop in the middle of writing a line: what is whole is kept, the rest is done
    runs = workplace / "out/runs.jsonl"
    before = runs.read_text()
    runs.write_text(before[:-20])
    assert main(argv) == 0
    assert runs.read_text() == before
    assert json.loads((workplace / "out/results.json").read_text())["rows"] == results["rows"]


def test_theory(workplace, capsys):
    assert main(["study", "theory", "--output", "out", "--seeds", "3"]) == 0
    results = json.loads((workplace / "out/results.json").read_text())
    assert [(r["MDPs"], r["violations"]) for r in results["propositions"]] == [(1000, 0)] * 3
    assert len((workplace / "out/cases.csv").read_text().splitlines()) == 3001
    assert (workplace / "out/study-theory.png").read_bytes().startswith(b"\x89PNG")
    assert "tightest" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["mpd"], ["unknown study 'mpd'", "mdp"]),
        (["mdp", "--seeds", "1000"], ["[1000]", "choose the settings"]),
        (["mdp", "--seeds", "1", "1"], ["each once"]),
        (["theory", "--seeds", "-1"], ["none negative"]),
        (["mdp", "--workers", "0"], ["at least 1"]),
        (["mdp", "--world.prior", "2"], ["prior=2.0"]),
        (["mdp", "--output", "file/x"], ["file/x", "give another --output"]),
        (["theory", "--output", "file/x"], ["file/x", "give another --output"]),
    ],
    ids=str,
)
def test_a_mistake_is_named(argv, parts, workplace, capsys):
    (workplace / "file").write_text("")
    assert main(["study", *argv]) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    for part in parts:
        assert part in message
    assert [path.name for path in workplace.iterdir()] == ["file"]


def test_a_file_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "runs.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(InputError, match=r"runs\.jsonl, line 1 is not a run"):
        Runs(tmp_path / "runs.jsonl")
    assert (tmp_path / "runs.jsonl").read_text() == '{"step": 1}\n'
