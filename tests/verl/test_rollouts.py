"""What the driver makes of the scores of a batch, and that verl's own estimator works on changed rewards."""

import math

import numpy as np
import pytest
import torch
from verl import DataProto
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

from aent import Method, load_method
from aent.verl.loss import GROUP_REWARD, SOLVED
from aent.verl.rollouts import RolloutScores, Rows

PADDING = {"is_padding": True}
KEYS = ("a_0_0", "b_0_0", "a_1_0", "pad_0_0", "b_1_0", "b_1_1", "c_0_0")
"""Prompts a and b with two rollouts, the second of b with two outputs; a filling row; c lost a rollout."""
TAGS = [{}, {}, {}, PADDING, {}, {}, {}]
LENGTHS = (2, 1, 3, 1, 1, 2, 2)
REWARDS = (1.0, 0.0, 0.0, 0.0, 9.0, 0.5, 0.25)


def jagged(rows):
    return torch.nested.as_nested_tensor([torch.as_tensor(row) for row in rows], layout=torch.jagged)


def scores_of(method, keys=KEYS, tags=TAGS, lengths=LENGTHS, rewards=REWARDS, size=2, logps=None):
    fields = {
        "rm_scores": jagged([[0.0] * (n - 1) + [r] for n, r in zip(lengths, rewards, strict=True)]),
        "response_mask": jagged([[1] * n for n in lengths]),
        "old_log_probs": jagged(logps or [[-1.0] * n for n in lengths]),
    }
    return RolloutScores(method, Rows.of(keys, tags), fields, size)


def test_rows_belong_to_rollouts_and_prompts():
    rows = Rows.of(KEYS, TAGS)
    assert rows.last.tolist() == [0, 1, 2, 5, 6]  # a_0, b_0, a_1, b_1 (its second output), c_0
    assert rows.rollout.tolist() == [0, 1, 2, -1, 3, 3, 4]
    assert rows.prompt.tolist() == [0, 1, 0, 1, 2]
    assert rows.groups(2).tolist() == [[0, 2], [1, 3]]
    assert rows.groups(1).tolist() == [[4]]
    assert rows.spread(torch.tensor([1.0, 2, 3, 4, 5])).tolist() == [1, 2, 3, 0, 4, 4, 5]


def test_prompts_may_have_underscores():
    assert Rows.of(["x_y_0_0", "x_y_1_0", "x_z_0_0"], [{}] * 3).groups(2).tolist() == [[0, 1]]


def test_what_the_loss_is_told_of_each_rollout():
    """a has a right answer of two, b and c have near misses; filling rows get 0."""
    columns = scores_of(load_method("aent-auto")).columns()
    means = [[0.5], [0.25], [0.5], [0.0], [0.25], [0.25], [0.25]]
    expected = [[0.5], [0.0], [0.5], [0.0], [0.0], [0.0], [0.0]]
    assert columns[GROUP_REWARD].tolist() == means
    assert columns[SOLVED].tolist() == expected
    shifted = scores_of(load_method("aent-auto"), rewards=[2 * r - 1 for r in REWARDS]).columns()
    assert shifted[SOLVED].tolist() == expected
    assert shifted[GROUP_REWARD].flatten().tolist() == [0, -0.5, 0, 0, -0.5, -0.5, -0.5]
    assert scores_of(load_method("aent-auto"), size=1).columns() == {}


def test_a_methods_group_advantages_reach_every_token_of_whole_groups():
    """pass@1 of (1, 0) with threshold .5: R = 1/2, s = 1/2, so +1 and -1; b has none right, so 0."""
    advantages = scores_of(load_method({"name": "pass-at-k", "k": 1})).advantages()
    rows = [row.tolist() for row in advantages.unbind()]
    assert rows == [[1, 1], [0], [-1, -1, -1], [0], [0], [0, 0], [0, 0]]


def test_mean_logp_is_per_token_of_the_last_output():
    seen = []

    def rewards(rollouts):
        seen.append(rollouts.mean_logp())
        return rollouts.rewards

    logps = [[-1.0] * n for n in LENGTHS]
    logps[2], logps[5] = [-1.0, -2.0, -6.0], [-3.0, -4.0]
    scores_of(Method(name="own", rewards=rewards), logps=logps).changed_scores()
    assert seen[0].tolist() == [[-1.0, -3.0], [-1.0, -3.5]]


def test_the_last_token_takes_up_a_changed_reward():
    method = Method(name="own", rewards=lambda rollouts: 2 * rollouts.rewards + 1)
    changed = [row.tolist() for row in scores_of(method).changed_scores().unbind()]
    # a: 1 -> 3 and 0 -> 1; b: 0 -> 1 and .5 -> 2; the first output of b_1, the filling row and c stay
    assert changed == [[0, 3], [1], [0, 0, 1], [0], [9], [0, 2], [0, 0.25]]


@pytest.mark.parametrize("estimator", ["grpo", "rloo", "reinforce_plus_plus"])
def test_verls_own_estimator_works_on_the_changed_rewards(estimator, compose):
    keys, rewards = ["a_0_0", "a_1_0", "b_0_0", "b_1_0"], (1.0, 0.0, 0.5, 0.25)
    method = Method(name="own", rewards=lambda rollouts: rollouts.rewards**2)
    scores = scores_of(method, keys, [{}] * 4, (2, 2, 2, 2), rewards)

    def advantages(token_scores):
        mask = torch.ones(4, 2)
        tensors = {"token_level_rewards": token_scores, "response_mask": mask}
        uid = np.array(["a", "a", "b", "b"], dtype=object)
        data = DataProto.from_dict(tensors, non_tensors={"uid": uid})
        options = {"num_repeat": 2, "config": compose().algorithm}
        return compute_advantage_for_multi_trajectories(data, keys, estimator, **options).batch["advantages"]

    ours = advantages(scores.changed_scores().to_padded_tensor(0.0))
    squared = torch.tensor([[0, r * r] for r in rewards])
    torch.testing.assert_close(ours, advantages(squared))
    if estimator == "grpo":  # a: 1 and 0, deviation sqrt(1/2), verl's epsilon 1e-6
        expected = 0.5 / (math.sqrt(0.5) + 1e-6)
        assert ours[0].tolist() == pytest.approx([expected] * 2)
