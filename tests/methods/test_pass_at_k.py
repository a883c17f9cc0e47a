from itertools import combinations
from math import sqrt

import pytest
import torch

from aent import InputError, Rollouts, load_method


def rollouts(rewards, logp=None):
    return Rollouts(
        rewards=torch.tensor(rewards),
        mean_logp=pytest.fail if logp is None else lambda: torch.tensor(logp),
    )


def test_by_hand():
    """arXiv 2508.10751 with N = 4, 2 wrong, k = 2.

    R = 1 - C(2,2) / C(4,2) = 5/6, s = sqrt(5)/6. A_right = (1 - R) / s = 1 / sqrt(5);
    A_wrong = (1 - R - C(1,1) / C(3,1)) / s = (1/6 - 1/3) / s = -1 / sqrt(5).
    """
    method = load_method({"name": "pass-at-k", "k": 2})
    made = method.group_advantages(rollouts([[1.0, 0.0, 0.0, 1.0]]))
    assert made[0].tolist() == pytest.approx([1 / sqrt(5), -1 / sqrt(5), -1 / sqrt(5), 1 / sqrt(5)])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
def test_it_is_the_mean_over_all_subsets(size):
    """The definition: the normalised reward (any of it right) of all k-subsets that hold a completion."""
    for k in range(1, size + 1):
        method = load_method({"name": "pass-at-k", "k": k})
        for right in range(size + 1):
            rewards = [1.0] * right + [0.0] * (size - right)
            subsets = list(combinations(range(size), k))
            earned = torch.tensor([max(rewards[i] for i in subset) for subset in subsets])
            spread = earned.std(correction=0)
            normal = (earned - earned.mean()) / spread if spread > 1e-6 else torch.zeros_like(earned)
            mean = [
                sum(a for a, subset in zip(normal.tolist(), subsets, strict=True) if i in subset)
                / sum(i in subset for subset in subsets)
                for i in range(size)
            ]
            made = method.group_advantages(rollouts([rewards]))
            assert made[0].tolist() == pytest.approx(mean, abs=1e-5), (k, rewards)


def test_pass_at_1_is_the_normalised_reward():
    rewards = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    made = load_method({"name": "pass-at-k", "k": 1}).group_advantages(
        Rollouts(rewards=rewards, mean_logp=pytest.fail)
    )
    normal = (rewards - rewards.mean(1, keepdim=True)) / rewards.std(1, correction=0, keepdim=True)
    torch.testing.assert_close(made, normal)


def test_k_must_be_given_and_at_least_1():
    with pytest.raises(InputError, match="needs k: no value was published"):
        load_method("pass-at-k")
    with pytest.raises(InputError, match="k=0 must be at least 1"):
        load_method({"name": "pass-at-k", "k": 0})


def test_a_reward_at_the_threshold_is_wrong():
    made = load_method({"name": "pass-at-k", "k": 1, "threshold": 0.3}).group_advantages(
        rollouts([[0.3, 0.31]])
    )
    assert made.tolist() == [pytest.approx([-1.0, 1.0])]


def test_groups_smaller_than_k_are_refused():
    with pytest.raises(InputError, match="k=3 needs groups of at least 3 completions, not 2; raise"):
        load_method({"name": "pass-at-k", "k": 3}).group_advantages(rollouts([[1.0, 0.0]]))
