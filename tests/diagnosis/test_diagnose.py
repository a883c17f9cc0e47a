"""The picture, and a run that was really trained to collapse."""

from pathlib import Path

import numpy as np
import pytest

from aent.diagnosis.diagnose import diagnose, draw
from aent.errors import InputError
from aent.logs.read import read_log

REAL = Path(__file__).parent / "plain_grpo.jsonl"


def test_the_picture_is_drawn_and_replaced(run, state, tmp_path):
    log, path = read_log(state(run("falling"))), tmp_path / "shown.png"
    for _ in range(2):
        draw(log, path)
        assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("name", "message"), [("a.pdf", "must end in .png"), ("a.png", "is not a PNG")])
def test_other_files_are_not_replaced(run, state, tmp_path, name, message):
    path = tmp_path / name
    path.write_text("mine")
    with pytest.raises(InputError, match=message):
        draw(read_log(state(run("falling"))), path)
    assert path.read_text() == "mine"


def test_a_folder_that_is_not_there(run, state, tmp_path):
    with pytest.raises(InputError, match="the picture cannot be written"):
        draw(read_log(state(run("falling"))), tmp_path / "no/a.png")


def test_numbers_whose_sums_overflow_are_reported_and_drawn(run, state, tmp_path):
    rows = [{**row, "reward": 1.7e308, "completions/mean_length": 1.7e308} for row in run("steady")]
    log = read_log(state(rows))
    assert "reward not finite from step 5, in 60 logged rows" in " ".join(diagnose(log).text.split())
    draw(log, tmp_path / "a.png")
    assert (tmp_path / "a.png").exists()


def test_a_real_run_of_plain_grpo():
    """`aent train countdown --method none --seed 6`: 0.64 to 0.25 nats in 300 steps."""
    found = diagnose(read_log(REAL))
    assert (found.entropy.state, found.entropy.half_step) == ("falling", 220)
    assert found.trade.pays
    assert [finding.name for finding in found.findings] == ["slower"]  # other programs ran beside it
    assert found.advice[0].verl[1] == "+aent.method=aent-auto"


def test_the_rate_of_its_first_half_foretells_where_it_ends(tmp_path):
    early = tmp_path / "early.jsonl"
    early.write_text("".join(REAL.read_text().splitlines(keepends=True)[:15]))
    entropy = diagnose(read_log(early)).entropy
    assert entropy.state == "falling"
    ended = diagnose(read_log(REAL)).entropy.end  # the mean over steps 280 to 300
    assert np.exp(entropy.late.at(290).value) == pytest.approx(ended, rel=0.05)
