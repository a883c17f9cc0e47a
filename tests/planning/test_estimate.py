from pathlib import Path
from runpy import run_path

import pytest

from aent.planning import memory
from aent.planning.constants import GPUS

ROOT = Path(__file__).parents[2]


def test_states_are_sharded_and_fit_where_the_sum_fits(planned):
    four, eight = (planned(name="paper-deepmath", gpus=gpus) for gpus in (4, 8))
    h200, card = GPUS["h200"], GPUS["rtx4090"]
    n = four.sizes.parameters
    assert four.memory(h200)["optimizer"] == 2 * 4 * n / 4 == 2 * eight.memory(h200)["optimizer"]
    assert eight.fits(h200)
    assert not eight.fits(card)  # vLLM's share holds not even the weights
    awake = planned("--vllm_enable_sleep_mode", "false")
    a100 = GPUS["a100-80g"]
    difference = awake.memory(a100)["at most at a time"] - planned().memory(a100)["at most at a time"]
    assert difference == pytest.approx(sum(memory.step(awake.sizes, awake.work).values()))


def test_the_figures_of_the_documentation_are_those_of_the_benchmark():
    measured = run_path(str(ROOT / "benchmarks/speed/plan.py"))
    page = (ROOT / "docs/recipes.md").read_text()
    for name, formula, counted in (*measured["parameters"](), *measured["step"]()):
        if name != "FLOPs, forward":
            assert f"| {formula:,.0f} | {counted:,.0f} | {formula / counted:.3f}".replace("0.", ".") in page
