"""The result of a comparison from its runs, by hand."""

import csv
import io
import json
import re

import pytest
from rich.console import Console

from aent import InputError
from aent.runs.comparison import Comparison, ComparisonFolder, Entrant
from aent.runs.outcome import Entry, Outcome, comparison_table, outcome
from aent.statistics import Estimate

LABELS = ("lr=[bold]", "forking-tokens", "entropy-bonus", "[red]x", "aent-auto", "clip-higher")


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


@pytest.fixture
def one_seed(make_run, tmp_path):
    """Six methods: of four answers, 1, 2, 3, 1, 2, 3 are right; a step takes 2, 2.25, ... 3.25 s."""
    comparison = Comparison(
        recipe="countdown",
        entrants={label: Entrant(method="aent") for label in LABELS},
        algorithms=("grpo",),
        seeds=(3,),
        baseline=LABELS[0],
    )
    folder = ComparisonFolder(tmp_path / "one")
    folder.claim(comparison)
    for number, job in enumerate(comparison.jobs):
        rows = [{"step": 10, "reward": 0.5, "step_time": 2.0 + number / 4}]
        make_run(f"one/runs/{job.name}", after=1 + number % 3, rows=rows)
    return folder


def printed(table, width, **options):
    text = io.StringIO()
    Console(width=width, file=text, **options).print(table, crop=False)
    return text.getvalue()


def test_one_number_of_one_seed_has_no_interval(one_seed):
    """The second method takes 10 steps of 2.25 s, the first 10 of 2 s: 2.5 s more."""
    result = outcome(one_seed.comparison, one_seed)
    result.save(one_seed.path)
    saved = json.loads((one_seed.path / "comparison.json").read_text())["entries"]
    (row,) = [r for r in saved if (r["method"], r["metric"]) == (LABELS[1], "seconds")]
    assert (row["difference"], row["low"], row["high"]) == (2.5, None, None)
    (row,) = [r for r in saved if (r["method"], r["metric"]) == (LABELS[1], "pass@1")]
    assert (row["difference"], row["low"], row["high"]) == pytest.approx((0.25, 0.25, 0.25))
    with (one_seed.path / "comparison.csv").open() as file:
        rows = {(row["method"], row["metric"]): row for row in csv.DictReader(file)}
    row = rows[LABELS[1], "seconds"]
    assert (row["difference"], row["low"], row["high"]) == ("2.5", "", "")
    assert Outcome.load(one_seed) == result


def test_an_interval_of_no_width_that_an_earlier_version_wrote_is_none(one_seed):
    result = outcome(one_seed.comparison, one_seed)
    result.save(one_seed.path)
    file = one_seed.path / "comparison.json"
    content = json.loads(file.read_text())
    for row in content["entries"]:
        if row["low"] is None:
            row["low"] = row["high"] = row["difference"]
    file.write_text(json.dumps(content))
    assert Outcome.load(one_seed) == result


def test_only_a_difference_whose_interval_excludes_0_is_bold(one_seed):
    """Bold is what stands between the codes 1 and 0 of a terminal."""
    result = outcome(one_seed.comparison, one_seed)
    for width in (None, 80):
        text = printed(
            comparison_table(result, "grpo", width), 400, force_terminal=True, color_system="standard"
        )
        bold = re.findall(r"\x1b\[1m *([^\x1b]*?) *\x1b\[0m", text)
        assert "+0.250 (+0.250, +0.250)" in bold
        assert "+0.000 (+0.000, +0.000)" in text
        assert not {"+0.000 (+0.000, +0.000)", "+2.5", "+12.5"} & {*bold}
        assert "+2.5 (" not in text


def test_the_caption_says_what_the_intervals_cover(compared, one_seed):
    two, one = (
        " ".join(printed(comparison_table(outcome(folder.comparison, folder), "grpo"), 80).split())
        for folder in (compared, one_seed)
    )
    assert two.endswith(
        "grpo: final policies, mean of 2 seeds; below, the difference from plain with its 95 % interval over "
        "seeds and problems"
    )
    assert one.endswith(
        "grpo: final policies, one seed; below, the difference from lr=[bold] with its 95 % interval over "
        "problems; a metric with one number per run has none"
    )


def test_nothing_is_cut_where_the_output_goes_to_a_file(one_seed):
    """A column per method, whatever width rich takes the file to have. Each run has 10 steps."""
    lines = printed(comparison_table(outcome(one_seed.comparison, one_seed), "grpo"), 80).splitlines()
    assert lines[0].split() == ["metric", "before", "training", *LABELS]
    (at,) = [at for at, line in enumerate(lines) if line.startswith(" seconds")]
    assert lines[at].split() == ["seconds", "-", "20.0", "22.5", "25.0", "27.5", "30.0", "32.5"]
    assert lines[at + 1].split() == ["+2.5", "+5.0", "+7.5", "+10.0", "+12.5"]
    (at,) = [at for at, line in enumerate(lines) if line.startswith(" pass@1 ")]
    assert lines[at + 1].split()[:3] == ["+0.250", "(+0.250,", "+0.250)"]


def test_a_terminal_that_is_too_narrow_has_a_row_per_method(one_seed):
    result = outcome(one_seed.comparison, one_seed)
    text = printed(comparison_table(result, "grpo", 80), 80, force_terminal=True, color_system=None)
    lines = [line.rstrip() for line in text.splitlines()]
    assert max(map(len, lines)) <= 80
    assert "…" not in text
    rows = [line.split() for line in lines]
    assert rows[0] == ["metric", "method", "before", "after", "difference"]
    assert [row[1] for row in rows if row[:1] == ["pass@1"]] == [*LABELS]
    assert ["pass@1", LABELS[0], "0.250", "0.250"] in rows
    assert ["pass@1", LABELS[2], "0.250", "0.750", "+0.500", "(+0.500,", "+0.500)"] in rows
    assert ["seconds", LABELS[5], "-", "32.5", "+12.5"] in rows
    wide = printed(comparison_table(result, "grpo", 400), 400)
    assert wide == printed(comparison_table(result, "grpo"), 400)


def test_long_names_go_on_in_the_next_line():
    """Each letter of both and every number is there at 80 columns."""
    label, metric = "abcdefghijklmnopqrstuvwxyzABCDEF", "pass@16 GHIJKLMNOPQRSTUVWXYZ"
    comparison = Comparison(
        recipe="countdown",
        entrants={label: Entrant(method="aent")},
        algorithms=("grpo",),
        seeds=(3,),
        baseline=label,
    )
    difference = Estimate(-0.125, -0.25, -0.0625)
    entry = Entry(
        algorithm="grpo", method=label, metric=metric, before=0.5, value=0.375, by_seed=(0.375,),
        difference=difference,
    )  # fmt: skip
    text = printed(comparison_table(Outcome(comparison=comparison, entries=[entry]), "grpo", 80), 80)
    first, *others = [line.split() for line in text.split("grpo:")[0].splitlines()[2:]]
    assert first[-5:] == ["0.500", "0.375", "-0.125", "(-0.250,", "-0.062)"]
    words = [word for line in (first, *others) for word in line]
    assert "".join(word for word in words if set(word) <= set(label)) == label
    assert "".join(word for word in words if set(word) <= set(metric.split()[1])) == metric.split()[1]


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
