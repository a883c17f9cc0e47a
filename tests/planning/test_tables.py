"""The lines and tables of a plan."""

import pytest

from aent.planning.constants import GPUS, PAPER
from aent.planning.tables import memory_table, paper_lines, summary_lines, time_table

KINDS = {name: GPUS[name] for name in ("a100-80g", "rtx4090")}


def rows(table):
    """The cells of a table by its first column."""
    columns = [list(column.cells) for column in table.columns]
    return {name: [column[i] for column in columns[1:]] for i, name in enumerate(columns[0])}


def test_memory_is_in_gigabytes_and_adds_up_to_what_fits(planned):
    plan = planned()
    cells = rows(memory_table(plan, KINDS))
    assert cells["of"] == ["80", "24"]
    assert cells["fits"] == ["yes" if plan.fits(gpu) else "no" for gpu in KINDS.values()]
    most = plan.memory(GPUS["a100-80g"])["at most at a time"]
    assert float(cells["at most at a time"][0]) == pytest.approx(most / 1e9, abs=0.05)


def test_times_without_room_for_vllm_are_a_dash(planned):
    """7.6B weights in bfloat16 are 15 GB; half of 24 GB does not hold them."""
    plan = planned(name="paper-deepmath")
    cells = rows(time_table(plan, KINDS))
    assert cells["rollout, s"][1] == cells["total, s"][1] == cells["whole run, GPU-hours"][1] == "-"
    assert cells["update, s"][0] == f"{plan.times(GPUS['a100-80g']).update:,.0f}"
    assert cells["sequences at once per vLLM"][1] == "0"
    cells = rows(time_table(planned(name="gsm8k"), KINDS))
    assert "sequences at once per vLLM" not in cells


def test_a_small_run_does_not_take_no_time(planned):
    """Two digits, where whole hours would be 0."""
    plan = planned("--max_steps", "2", name="gsm8k")
    hours = plan.gpu_hours(GPUS["a100-80g"])
    assert 0 < hours < 0.5
    (shown, _) = rows(time_table(plan, KINDS))["whole run, GPU-hours"]
    assert float(shown) == pytest.approx(hours, rel=0.05)


def test_lines_name_the_generator_and_the_flags(planned):
    assert "generating with vLLM on the same GPUs" in summary_lines(planned())[1]
    assert "generating with transformers" in summary_lines(planned(name="gsm8k"))[1]
    assert summary_lines(planned(gpus=16))[-1].startswith("to keep these batches on 16 GPUs: --gradient")
    assert len(summary_lines(planned())) == 3


def test_the_papers_gain_is_that_of_its_table(planned):
    """35 instead of 57 GPU-hours is 39 % less; the second run has no cost of a single update."""
    lines = paper_lines(planned(), PAPER["paper-math"])
    assert "57 GPU-hours" in lines[0]
    assert "(-39%)" in lines[0]
    assert "paper GRPO 0.234, AEnt 0.256" in lines[1]
    assert len(paper_lines(planned(name="paper-openr1"), PAPER["paper-openr1"])) == 1
