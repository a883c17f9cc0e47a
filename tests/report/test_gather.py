"""Which folders a report is made of."""

import pytest

from aent.errors import InputError
from aent.report.gather import report_content


def test_runs_and_a_comparison_are_told_apart(compared, make_run):
    assert report_content([make_run("a").path]).title == "GRPO on countdown: none"
    assert report_content([make_run("b").path, make_run("c", seed=4).path]).facts["Seeds"] == "3, 4"
    assert report_content([compared.path]).title == "GRPO on countdown: 2 methods compared"


def test_a_comparison_is_shown_alone(compared, make_run):
    with pytest.raises(InputError, match="give it alone, or run folders only"):
        report_content([compared.path, make_run("run").path])


def test_a_folder_that_is_neither_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds neither a run of aent train"):
        report_content([tmp_path])
