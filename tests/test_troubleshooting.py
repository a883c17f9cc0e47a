"""Each symptom on docs/troubleshooting.md is produced here, or the page says that it is not."""

import re
import runpy
from pathlib import Path

import pytest

from aent import Band, InputError, load_method
from aent.diagnosis.findings import findings
from aent.diagnosis.movement import entropy_movement

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/troubleshooting.md").read_text()
MOST = 4.16
"""log 64: the entropy of a uniform policy in examples/own_loop.py."""


@pytest.fixture
def loop(monkeypatch):
    """The loop of examples/own_loop.py, with constants of it changed: ``loop(spec, STEPS=10)``."""
    example = runpy.run_path(str(ROOT / "examples/own_loop.py"))

    def train(spec, **constants):
        for name, value in constants.items():
            monkeypatch.setitem(example["train"].__globals__, name, value)
        return example["train"](spec)

    train.example = example
    return train


def test_a_bonus_that_is_too_strong_makes_the_policy_uniform(loop):
    held = loop(loop.example["AENT"], STEPS=75)
    flooded = loop({"name": "entropy-bonus", "coef": 3.0})
    assert flooded["entropy"] > 0.97 * MOST
    assert flooded["reward"] < held["reward"] / 3


def test_a_learning_rate_ten_times_too_high_collapses_within_ten_steps(loop):
    usual = loop("none", STEPS=10)
    fast = loop("none", STEPS=10, LEARNING_RATE=0.05)
    assert usual["entropy"] > 0.5 * MOST
    assert fast["entropy"] < 0.25 * MOST


def test_a_ceiling_that_is_too_low_is_reached_and_entropy_stays_below_the_band(loop):
    low = {**loop.example["AENT"], "coef": 1e-4, "coef_min": 0.0, "coef_max": 1e-3}
    ended = loop(low)
    assert ended["coef"] == 1e-3
    assert ended["entropy"] < low["low"]
    row = {"aent/coef": ended["coef"], "aent/entropy": ended["entropy"], "aent/low": low["low"]}
    rows = [{"step": step, "entropy": ended["entropy"], **row} for step in range(20)]
    assert [finding.name for finding in findings(rows, entropy_movement(rows))] == ["pinned"]


def test_equal_rewards_move_nothing(loop):
    import torch

    rewards = torch.full((3, 4), 0.3)
    assert not loop.example["group_baseline"](rewards).any()


def test_the_coefficient_rests_in_its_band_and_during_the_warmup():
    def band(**changes):
        return Band(
            **{"coef": 0.01, "low": 0.2, "high": 0.4, "lr": 1.0, "coef_min": 0.0, "coef_max": 1.0} | changes
        )

    assert band().update(0.3) == 0.01
    waiting = band(warmup=30)
    assert [waiting.update(0.1) for _ in range(29)] == [0.01] * 29
    assert waiting.update(0.1) == pytest.approx(0.11)
    assert load_method("aent").controller.warmup == 30


@pytest.mark.parametrize("entropy", [float("nan"), float("inf")])
def test_a_controller_refuses_an_entropy_that_is_not_finite(entropy):
    controller = load_method("aent").controller
    with pytest.raises(InputError):
        controller.update(entropy)
    assert controller.coef == 0.002


SYMPTOMS = [section.partition("\n")[::2] for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]]


@pytest.mark.parametrize(("symptom", "text"), SYMPTOMS, ids=[name for name, _ in SYMPTOMS])
def test_every_symptom_has_a_metric_a_command_and_says_whether_it_was_reproduced(symptom, text):
    assert "**Look at**" in text
    assert re.search(r"^```sh\n\S", text, re.MULTILINE)
    assert "**Reproduced**" in text or "**Not reproduced.**" in text
    for name in re.findall(r"\[(test_\w+)\]", text):
        assert name in globals()


def test_the_page_has_every_symptom():
    words = ("explodes", "collapses", "ceiling", "moves", "longer", "flat", "NaN", "memory", "Slower")
    assert [any(word in name for name, _ in SYMPTOMS) for word in words] == [True] * len(words)
