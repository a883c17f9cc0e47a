"""reasoning-gym's scorers, in this process."""

import json

import pytest

pytest.importorskip("reasoning_gym")

from aent.tasks.gym_scorers import score


def test_the_scorer_of_the_data_set_judges():
    entry = json.dumps({"question": "1 + 2 = ?", "answer": "3", "metadata": {}})
    assert score("chain_sum", "{}", "3", entry) == 1
    assert score("chain_sum", "{}", "4", entry) < 1


def test_tuples_come_back_from_json():
    """rectangle_count and others compare metadata; a tuple is written as {"tuple": [...]}."""
    from aent.tasks import gym_scorers

    thawed = json.loads('{"a": {"tuple": [1, {"tuple": [2]}]}, "b": [3]}', object_hook=gym_scorers._thaw)
    assert thawed == {"a": (1, (2,)), "b": [3]}
