from math import sqrt

import pytest
import torch

from aent import InputError, Rollouts, load_method


def rollouts(rewards):
    return Rollouts(
        rewards=torch.tensor(rewards),
        mean_logp=pytest.fail,
    )


def test_by_hand():
    """(r - Q_K) / std, arXiv 2509.22611, K = 0.4 and groups of 5: Q is the second smallest reward.

    Two of five right: Q = 0, std = sqrt((3 * 0.4^2 + 2 * 0.6^2) / 4) = sqrt(0.3), A = 1 / std for those.
    Four of five right: Q = 1, std = sqrt((0.8^2 + 4 * 0.2^2) / 4) = sqrt(0.2), A = -1 / std for the other.
    """
    made = load_method("qae").group_advantages(
        rollouts([[0.0, 1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 0.0, 1.0]])
    )
    good, bad = 1 / (sqrt(0.3) + 1e-4), -1 / (sqrt(0.2) + 1e-4)
    assert made[0].tolist() == pytest.approx([0, good, 0, 0, good])
    assert made[1].tolist() == pytest.approx([0, 0, 0, bad, 0])


@pytest.mark.parametrize("percent", [20, 28, 40, 60, 80])
@pytest.mark.parametrize("size", [4, 5, 8, 10, 25])
def test_it_is_the_papers_gate(size, percent):
    """Right completions are reinforced where p <= 1 - K, wrong ones discouraged where p > 1 - K.

    0.28 * 25 is 7.000000000000001 in doubles, and 18 right of 25 are still p = 1 - K.
    """
    method = load_method({"name": "qae", "quantile": percent / 100})
    for right in range(1, size):
        rewards = torch.tensor([[1.0] * right + [0.0] * (size - right)])
        made = method.group_advantages(Rollouts(rewards=rewards, mean_logp=pytest.fail))
        hard = 100 * right <= (100 - percent) * size
        assert bool((made > 0).any()) == hard
        assert bool((made < 0).any()) != hard
        assert (made != 0).sum() == (right if hard else size - right)


def test_with_the_median_of_symmetric_rewards_it_is_grpo():
    made = load_method({"name": "qae", "quantile": 0.5}).group_advantages(rollouts([[1.0, 0.0, 0.5]]))
    assert made[0].tolist() == pytest.approx([0.5 / 0.5001, -0.5 / 0.5001, 0])


def test_published_defaults():
    """K and clip: arXiv 2509.22611."""
    assert load_method("qae").options == {"epsilon_high": 0.28}
    assert load_method({"name": "qae", "epsilon_high": None}).options == {}


@pytest.mark.parametrize("quantile", [0.0, 1.5])
def test_bad_arguments_say_what_is_allowed(quantile):
    with pytest.raises(InputError, match=rf"quantile={quantile} is outside \(0, 1\]"):
        load_method({"name": "qae", "quantile": quantile})
