"""The page as a browser shows it."""

import json
import re
from dataclasses import replace

import pytest
import yaml

from aent.errors import InputError
from aent.report.gather import report_content
from aent.report.page import page, write_page
from aent.runs.comparison import Comparison, ComparisonFolder, Entrant

NASTY = '<script>window.hacked = 1</script><img src=x onerror="window.hacked = 2">&amp;"'
METHODS = ["none", "entropy-bonus", "sac", "skywork", "clip-higher",
           "kl-cov", "siren", "forking-tokens", "entropic", "aent"]  # fmt: skip


def logged(steps=40):
    keys = ("entropy", "aent/full_entropy", "aent/entropy", "aent/coef", "completions/mean_length")
    band = {"aent/low": 0.3, "aent/high": 0.6}
    return [
        {"step": t, "reward": t / steps, **dict.fromkeys(keys, 0.5 + t / 100), **band}
        for t in range(1, steps + 1)
    ]


@pytest.fixture
def single(make_run, tmp_path):
    folder = make_run("single", rows=logged(), text=NASTY)
    write_page(report_content([folder.path]), tmp_path / "single.html")
    return tmp_path / "single.html"


@pytest.fixture
def compared(make_run, tmp_path):
    """Ten methods, two seeds."""
    comparison = Comparison(
        recipe="countdown",
        entrants={name: Entrant(method=name) for name in METHODS},
        algorithms=("grpo",),
        seeds=(3, 4),
        baseline="none",
    )
    folder = ComparisonFolder(tmp_path / "compared")
    folder.claim(comparison)
    for number, job in enumerate(comparison.jobs):
        make_run(f"compared/runs/{job.name}", seed=job.seed, after=1 + number % 3, rows=logged())
    write_page(report_content([folder.path]), tmp_path / "compared.html")
    return tmp_path / "compared.html"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("which", ["single", "compared"])
def test_it_fits_asks_nothing_of_the_network_and_complains_of_nothing(which, width, dark, browser, request):
    page = request.getfixturevalue(which)
    browser.open(page, width, dark=dark)
    assert browser.ask("document.body.scrollWidth <= document.documentElement.clientWidth")
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.requests == [page.as_uri()]
    assert browser.complaints == []
    ground = browser.ask("getComputedStyle(document.body).backgroundColor")
    assert (int(ground[4:].split(",")[0]) < 60) == dark
    small = browser.ask("Math.min(...[...document.querySelectorAll('figure text')].map("
                        "t => 12 * t.getCTM().a))")  # fmt: skip
    assert small >= 9  # pixels
    assert browser.ask("document.querySelectorAll('figure').length") == 6


def test_what_a_model_wrote_is_text(single, browser):
    browser.open(single, 1280)
    assert browser.ask("window.hacked") is None
    assert browser.ask("document.scripts.length + document.images.length") == 0
    texts = browser.ask("[...document.querySelectorAll('.answer .tokens')].map(t => t.textContent)")
    assert f"{NASTY}0<eos>" in texts


def test_hidden_characters_are_shown_wherever_they_come_from(make_run, tmp_path):
    hidden = "a\u202eb\x1b\ud800"
    run = make_run("run", text=hidden, task={"name": "countdown", "note": hidden})
    write_page(report_content([run.path]), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert not set("\u202e\x1b\ud800") & set(text)
    assert "note a⟨U+202E⟩b⟨U+001B⟩⟨U+D800⟩" in text
    for character in ("⟨U+202E⟩", "⟨U+001B⟩", "⟨U+D800⟩"):
        assert f">{character}</span>" in text  # a token of its own


def test_cards_use_the_width_and_a_text_has_its_own_direction(make_run, tmp_path, browser):
    """Of one method there are two cards, before and after; each has half of the page."""
    folder = make_run("run", text="\N{HEBREW LETTER SHIN}\N{HEBREW LETTER LAMED}1")
    write_page(report_content([folder.path]), tmp_path / "page.html")
    browser.open(tmp_path / "page.html", 1280)
    widths = browser.ask("[...document.querySelector('.sides').children].map("
                         "c => c.offsetWidth / c.parentElement.offsetWidth)")  # fmt: skip
    assert [round(width, 1) for width in widths] == [0.5, 0.5]
    direction = "getComputedStyle(document.querySelector('{}')).direction"
    assert browser.ask(direction.format(".answer .tokens")) == "rtl"
    assert browser.ask(direction.format(".prompt")) == "ltr"


def test_an_entropy_can_be_read_without_color(single, browser):
    browser.open(single, 1280)
    tokens = browser.ask(
        "[...document.querySelectorAll('.answer .t')].slice(0, 3).map("
        "t => [t.title, getComputedStyle(t).borderBottomWidth])"
    )
    assert tokens == [["0.70 nats", "3px"], ["0.35 nats", "2px"], ["0.23 nats", "2px"]]


def test_a_line_is_hidden_with_its_box(compared, browser):
    browser.open(compared, 1280)
    shown = "getComputedStyle(document.querySelector('.charts .s9')).display"
    assert browser.ask(shown) != "none"
    browser.ask("document.querySelector('.on9').click()")
    assert browser.ask(shown) == "none"
    assert browser.ask("getComputedStyle(document.querySelector('.charts .s1')).display") != "none"


def test_numbers_are_those_of_the_comparison(compared, browser):
    browser.open(compared, 1280)
    cards = browser.ask(
        "Object.fromEntries([...document.querySelectorAll('.tables .card')].map(c => "
        "[c.querySelector('h3').textContent, [...c.querySelectorAll('tr')].map(r => r.innerText)]))"
    )
    # none has 1 and then 2 of 4 samples right (runs 0 and 10), entropy-bonus 2 and 3: 0.375 and 0.625.
    assert "0.375" in cards["pass@1"][1]
    assert "0.625" in cards["pass@1"][2]
    assert "+0.250" in cards["pass@1"][2]
    assert len(cards["pass@1"]) == 1 + len(METHODS)
    assert {"pass@4", "Reward over training", "Entropy kept"} < set(cards)


def test_metrics_of_a_further_evaluation_are_named_after_it(make_run):
    content = report_content([make_run("run").path])
    (section,) = content.sections
    further = [replace(result, metric=f"{result.metric} paper") for result in section.results]
    text = page(replace(content, sections=[replace(section, results=[*section.results, *further])]))
    assert "<td>pass@4, paper<small>share solved</small>" in text
    assert "<td>Length of the answers, paper<small>tokens</small>" in text
    tiles = re.findall('class="name">(.*?)<', text)
    assert tiles == ["pass@1", "pass@4", "Entropy of the answers", "Length of the answers"]


def test_a_difference_without_an_interval_is_never_sure(make_run, tmp_path):
    """One seed: its entropy and its seconds differ, but nothing says by how much they would anyway."""
    comparison = Comparison(
        recipe="countdown",
        entrants={name: Entrant(method=name) for name in ("none", "aent")},
        algorithms=("grpo",),
        seeds=(3,),
        baseline="none",
    )
    folder = ComparisonFolder(tmp_path / "compared")
    folder.claim(comparison)
    for job, right, time in zip(comparison.jobs, (1, 2), (2.0, 3.5), strict=True):
        rows = [{"step": 10, "reward": 0.5, "step_time": time}]
        make_run(f"compared/runs/{job.name}", after=right, rows=rows)
    text = page(report_content([folder.path]))
    cards = dict(re.findall(r'<div class="card"><h3>(.*?)</h3>(.*?)</table>', text, re.DOTALL))
    assert (
        '<span class="">+15.0</span></td><td class="whisk"></td>' in cards["Training time"]
    )  # 10 x (3.5 - 2)
    assert '<span class="sure">+0.250</span><small>+0.250 to +0.250</small>' in cards["pass@1"]
    assert "nan" not in "".join(cards.values())


def test_a_page_is_small(compared):
    assert compared.stat().st_size < 600_000


def test_only_a_report_is_replaced(make_run, tmp_path):
    content = report_content([make_run("run").path])
    place = tmp_path / "page.html"
    write_page(content, place)
    write_page(content, place)
    place.write_text("<p>mine</p>")
    with pytest.raises(InputError, match="is not a report of aent"):
        write_page(content, place)
    assert place.read_text() == "<p>mine</p>"
    with pytest.raises(InputError, match="cannot be written"):
        write_page(content, tmp_path / "nowhere" / "page.html")


def test_settings_and_versions_are_exact(make_run, tmp_path, browser):
    folder = make_run("run", trainer={"learning_rate": 6e-4})
    write_page(report_content([folder.path]), tmp_path / "page.html")
    browser.open(tmp_path / "page.html", 1280)
    config = browser.ask("document.querySelector('pre').textContent")
    assert yaml.safe_load(config) == yaml.safe_load((folder.path / "config.yaml").read_text())
    versions = json.loads((folder.path / "versions.json").read_text())
    shown = browser.ask("[...document.querySelectorAll('details:last-of-type td')].map(t => t.textContent)")
    assert dict(zip(shown[::2], shown[1::2], strict=True)) == versions
