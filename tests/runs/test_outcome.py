"""The result of a comparison from its runs, by hand."""

import csv
import re

import pytest
from rich.console import Console

from aent import InputError
from aent.runs.comparison import Comparison, ComparisonFolder, Entrant
from aent.runs.outcome import Outcome, comparison_table, outcome


@pytest.fixture
def compared(make_run, tmp_path):
    """Of four answers to each problem, plain has 1 right after training and bonus 2; both had 1 before."""
    comparison = Comparison(
        recipe="countdown",
        entrants={"plain": Entrant(method="none"), "bonus": Entrant(method="aent")},
        algorithms=("grpo",),
        seeds=(3, 4),
        baseline="plain",
    )
    folder = ComparisonFolder(tmp_path / "compared")
    folder.claim(comparison)
    for job in comparison.jobs:
        right, rewards = (1, (0.0, 0.2)) if job.label == "plain" else (2, (0.2, 0.4))
        rows = [{"step": 10 * (i + 1), "reward": r, "step_time": 2.0} for i, r in enumerate(rewards)]
        make_run(f"compared/runs/{job.name}", seed=job.seed, after=right, rows=rows)
    return folder


def test_values_and_paired_differences(compared):
    result = outcome(compared.comparison, compared)
    plain, bonus = (result.find("grpo", label, "pass@1") for label in ("plain", "bonus"))
    assert plain is not None
    assert bonus is not None
    assert (plain.before, plain.value, plain.difference) == (0.25, 0.25, None)
    assert (bonus.before, bonus.value, bonus.by_seed) == (0.25, 0.5, (0.5, 0.5))
    assert bonus.difference == pytest.approx((0.25, 0.25, 0.25))
    assert result.find("grpo", "bonus", "no such metric") is None


def test_one_number_per_run(compared):
    """Rewards .2, .4 at steps 10, 20, flat before: (10 * .2 + 10 * .3) / 20 = .25. 20 steps of 2 s."""
    result = outcome(compared.comparison, compared)
    area, kept, seconds = (
        result.find("grpo", "bonus", name) for name in ("reward_area", "entropy_kept", "seconds")
    )
    assert area is not None
    assert kept is not None
    assert seconds is not None
    assert area.value == pytest.approx(0.25)
    assert area.before is None
    assert kept.value == pytest.approx(1.0)
    assert seconds.value == 40.0


def test_what_is_saved_is_read_back(compared):
    result = outcome(compared.comparison, compared)
    result.save(compared.path)
    assert Outcome.load(compared) == result
    with (compared.path / "comparison.csv").open() as file:
        rows = {(row["method"], row["metric"]): row for row in csv.DictReader(file)}
    assert rows["plain", "pass@1"]["difference"] == ""
    assert float(rows["bonus", "pass@1"]["difference"]) == pytest.approx(0.25)


def test_the_table_has_values_and_differences(compared):
    console = Console(width=200, record=True)
    console.print(comparison_table(outcome(compared.comparison, compared), "grpo"))
    text = console.export_text()
    assert "+0.250 (+0.250, +0.250)" in text
    assert re.search(r"pass@1 +0\.250 +0\.250 +0\.500", text)  # before training, plain, bonus
    assert re.search(r"reward_area +- ", text)  # only training has it
    assert "mean of 2 seeds" in text


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"entries": [{"metric": 1}]}', '{"entries": ['])
def test_an_outcome_that_cannot_be_read_is_named(text, compared):
    (compared.path / "comparison.json").write_text(text)
    with pytest.raises(InputError, match=r"comparison.json was not written by aent compare .*repeat"):
        Outcome.load(compared)


def test_settings_of_a_comparison_that_are_cut_short_are_noticed_at_every_length(compared):
    file = compared.path / "comparison.yaml"
    text, due = file.read_text(), compared.comparison
    for length in range(len(text) - 1):  # the last character is the end of a line
        file.write_text(text[:length])
        with pytest.raises(InputError):
            compared.claim(due)
