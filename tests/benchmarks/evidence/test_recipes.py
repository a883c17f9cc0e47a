"""The recipes of the evidence table can be run, and measure alike."""

from pathlib import Path

import pytest

from aent.runs.recipe import load_recipe
from aent.training.prepare import prepare, read_request

FOLDER = Path(__file__).parents[3] / "benchmarks/evidence"
LONG = ("long-spell-3000.yaml", "long-equations.yaml", "long-letters.yaml")
RECIPES = sorted([*FOLDER.glob("dev-*.yaml"), *FOLDER.glob("eval-*.yaml"), *(FOLDER / name for name in LONG)])


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_is_plain_grpo_at_the_papers_sampling(path):
    recipe = load_recipe(str(path))
    assert recipe.method == {"name": "none"}
    also = recipe.evaluation["also"]
    assert recipe.evaluation == {
        "problems": 200, "samples": 16, "temperature": 0.6, "top_p": 0.95, "also": also
    }  # fmt: skip
    assert also["sampled"] == {"temperature": 1.0, "top_p": 1.0}
    assert also["greedy"] == {"temperature": 0.0, "top_p": 1.0, "samples": 1}
    assert recipe.made
    assert recipe.trainer["learning_rate"] == 6e-4
    assert recipe.trainer["lr_scheduler_type"] == "linear"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_is_ready_to_run(path, tmp_path, monkeypatch):
    """`prepare` makes the data; policies learn from what the 200 test problems are not in."""
    monkeypatch.chdir(tmp_path)
    run = prepare(read_request([str(path)]))
    held_out = run.task.dataset("test")["prompt"]
    assert len(held_out) == 200
    shown = {row["prompt"] for row in run.task.demonstrations(2000)}
    assert not shown & set(held_out)
    assert run.args.max_completion_length == run.task.max_length + 1
