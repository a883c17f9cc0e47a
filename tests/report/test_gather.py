"""Which folders a report is made of."""

import pytest

from aent.errors import InputError
from aent.report.gather import is_ours, report_content


def test_runs_and_a_comparison_are_told_apart(compared, make_run):
    assert report_content([make_run("a").path]).title == "GRPO on countdown: none"
    assert report_content([make_run("b").path, make_run("c", seed=4).path]).facts["Seeds"] == "3, 4"
    assert report_content([compared.path]).title == "GRPO on countdown: 2 methods compared"


def test_a_comparison_is_shown_alone(compared, make_run):
    with pytest.raises(InputError, match="give it without other runs, or give run folders only"):
        report_content([compared.path, make_run("run").path])


def test_a_folder_that_is_neither_is_refused(tmp_path):
    wanted = "Give a run folder of aent, trainer_state.json.*also takes the folder of an aent compare"
    with pytest.raises(InputError, match=f"holds no metrics.jsonl.*{wanted}"):
        report_content([tmp_path])
    with pytest.raises(InputError, match=f"does not exist. {wanted}"):
        report_content([tmp_path / "gone"])


@pytest.mark.parametrize("ours", [None, "run", "comparison"])
def test_logs_stand_beside_runs_or_a_comparison_or_alone(ours, compared, make_run, tmp_path):
    log = tmp_path / "history.csv"
    log.write_text("step,reward,entropy\n10,0.5,0.7\n20,0.6,0.2\n")
    before = {None: [], "run": [make_run("run").path], "comparison": [compared.path]}[ours]
    (section,) = report_content([*before, log]).sections
    known = {None: [], "run": ["none"], "comparison": ["plain", "bonus"]}[ours]
    assert [line.label for line in section.lines] == [*known, "history.csv"]
    (seed,) = section.lines[-1].seeds
    assert [row["entropy"] for row in seed.rows] == [0.7, 0.2]


def test_one_run_or_comparison_keeps_its_report(compared, make_run, tmp_path):
    run = make_run("run").path
    assert is_ours([run])
    assert is_ours([compared.path])
    assert not is_ours([run, run])
    assert not is_ours([tmp_path])
