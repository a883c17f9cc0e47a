import pytest
import torch

from aent import InputError, Rollouts, load_method


def rollouts(rewards):
    return Rollouts(
        rewards=torch.tensor(rewards),
        mean_logp=pytest.fail,
    )


def test_by_hand():
    """arXiv 2506.01347: 0.1 for right, -1 for wrong, in groups that are all right or wrong too."""
    made = load_method("w-reinforce").group_advantages(rollouts([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]))
    assert made.tolist() == [pytest.approx([0.1, -1.0]), pytest.approx([0.1, 0.1]), [-1.0, -1.0]]


def test_without_its_weight():
    """Weight 1 is the reward less 1/2, doubled; weight 0 is NSR."""
    half = rollouts([[1.0, 0.0, 0.0, 1.0]])
    plain = load_method({"name": "w-reinforce", "weight": 1.0}).group_advantages(half)
    assert torch.equal(plain, 2 * (half.rewards - half.rewards.mean(1, keepdim=True)))
    negative = load_method({"name": "w-reinforce", "weight": 0.0}).group_advantages(half)
    assert negative.tolist() == [[0.0, -1.0, -1.0, 0.0]]


def test_a_reward_at_the_threshold_is_wrong():
    made = load_method({"name": "w-reinforce", "threshold": 0.3}).group_advantages(rollouts([[0.3, 0.31]]))
    assert made.tolist() == [pytest.approx([-1.0, 0.1])]


def test_bad_arguments_say_what_is_allowed():
    with pytest.raises(InputError, match=r"weight=-0\.1 .* give 0"):
        load_method({"name": "w-reinforce", "weight": -0.1})
