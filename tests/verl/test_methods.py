"""Every method through verl's training step, three steps of two updates, against the same method by hand.

`one_process` trains and records each update. `by_hand` computes its advantages, its gradient and the
controller's next state again, from the tokens, the scores and the weights before it.
"""

import json
from pathlib import Path

import pytest
import torch
from by_hand import ByHand, assert_by_hand
from one_process import RUNS, STEPS
from verl_on_cpu import toy

HERE = Path(__file__).parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(launch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("methods")
    toy.policy().save_pretrained(folder)
    launch(HERE / "one_process.py", folder, processes=1, VERL_RECORD=str(folder))
    return folder


@pytest.mark.parametrize("name", RUNS)
def test_three_steps_of_verl_are_the_method_by_hand(name, folder):
    place = folder / name
    logged = json.loads((place / "logged.json").read_text())
    assert len(logged) == STEPS
    coefs = assert_by_hand(place, RUNS[name], logged)
    if name in ("aent", "stack"):
        assert len(set(coefs)) == STEPS  # it moves


def test_the_second_update_of_a_step_is_off_its_policy(folder):
    """So that clipping is part of the comparison: some ratios are beyond 1.2, some below 0.8."""
    update = torch.load(folder / "entropy-bonus" / "5.pt", weights_only=False)
    run, model = ByHand(RUNS["entropy-bonus"]), toy.policy()
    model.load_state_dict(update["weights"], strict=False)
    tokens = run.tokens(model, update["fields"], update["temperature"])
    ratios = tokens.ratio[tokens.mask.bool()]
    assert (ratios > 1.2).any()
    assert (ratios < 0.8).any()
