"""Methods on groups of completions, by hand and by enumeration."""

from itertools import combinations
from math import sqrt

import pytest
import torch

from aent import InputError, load_method
from aent.method import Rollouts


def rollouts(rewards, logp=None):
    return Rollouts(
        rewards=torch.tensor(rewards),
        mean_logp=pytest.fail if logp is None else lambda: torch.tensor(logp),
    )


def test_unlikeliness_by_hand():
    """r * (1 - b * rank / G), arXiv 2506.02355, G = 4 and b = 0.25.

    Mean log-probabilities -1, -3, -2, -0.5 have ranks 2, 0, 1, 3. The correct ones earn 1 - 0.25 * 2/4,
    1, and 1 - 0.25 * 3/4, so the likelier the less; the wrong one keeps its 0 whatever its rank.
    """
    method = load_method("unlikeliness")
    made = method.rewards(rollouts([[1.0, 1.0, 0.0, 1.0]], [[-1.0, -3.0, -2.0, -0.5]]))
    assert made.tolist() == [[0.875, 1.0, 0.0, 0.8125]]


def test_unlikeliness_leaves_wrong_completions_alone():
    """A penalty of -1 would otherwise shrink for likely mistakes; groups are ranked on their own."""
    method = load_method({"name": "unlikeliness", "b": 1.0})
    made = method.rewards(rollouts([[-1.0, 0.2], [2.0, 2.0]], [[-0.1, -0.2], [-9.0, -8.0]]))
    assert made.tolist() == [pytest.approx([-1.0, 0.2]), [2.0, 1.0]]


def test_pass_at_k_by_hand():
    """arXiv 2508.10751 with N = 4, 2 wrong, k = 2.

    R = 1 - C(2,2) / C(4,2) = 5/6, s = sqrt(5)/6. A_right = (1 - R) / s = 1 / sqrt(5);
    A_wrong = (1 - R - C(1,1) / C(3,1)) / s = (1/6 - 1/3) / s = -1 / sqrt(5).
    """
    method = load_method({"name": "pass-at-k", "k": 2})
    made = method.group_advantages(rollouts([[1.0, 0.0, 0.0, 1.0]]))
    assert made[0].tolist() == pytest.approx([1 / sqrt(5), -1 / sqrt(5), -1 / sqrt(5), 1 / sqrt(5)])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
def test_pass_at_k_is_the_mean_over_all_subsets(size):
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


def test_w_reinforce_by_hand():
    """arXiv 2506.01347: 0.1 for right, -1 for wrong, in groups that are all right or wrong too."""
    made = load_method("w-reinforce").group_advantages(rollouts([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]))
    assert made.tolist() == [pytest.approx([0.1, -1.0]), pytest.approx([0.1, 0.1]), [-1.0, -1.0]]


def test_w_reinforce_without_its_weight():
    """Weight 1 is the reward less 1/2, doubled; weight 0 is NSR."""
    half = rollouts([[1.0, 0.0, 0.0, 1.0]])
    plain = load_method({"name": "w-reinforce", "weight": 1.0}).group_advantages(half)
    assert torch.equal(plain, 2 * (half.rewards - half.rewards.mean(1, keepdim=True)))
    negative = load_method({"name": "w-reinforce", "weight": 0.0}).group_advantages(half)
    assert negative.tolist() == [[0.0, -1.0, -1.0, 0.0]]


def test_qae_by_hand():
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
def test_qae_is_the_papers_gate(size, percent):
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


def test_qae_with_the_median_of_symmetric_rewards_is_grpo():
    made = load_method({"name": "qae", "quantile": 0.5}).group_advantages(rollouts([[1.0, 0.0, 0.5]]))
    assert made[0].tolist() == pytest.approx([0.5 / 0.5001, -0.5 / 0.5001, 0])


def test_published_defaults():
    """b: 2506.02355's code; weight: 2506.01347's lambda; K and clip: 2509.22611. k has none."""
    assert load_method("unlikeliness").rewards(rollouts([[1.0, 1.0]], [[0.0, -1.0]])).tolist() == [
        [0.875, 1.0]
    ]
    assert load_method("qae").options == {"epsilon_high": 0.28}
    assert load_method({"name": "qae", "epsilon_high": None}).options == {}
    with pytest.raises(InputError, match="needs k: no value was published"):
        load_method("pass-at-k")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "unlikeliness", "b": 1.5}, r"b=1\.5 is outside \[0, 1\]"),
        ({"name": "pass-at-k", "k": 0}, "k=0 must be at least 1"),
        ({"name": "w-reinforce", "weight": -0.1}, r"weight=-0\.1 .* give 0"),
        ({"name": "qae", "quantile": 0.0}, r"quantile=0\.0 is outside \(0, 1\]"),
    ],
)
def test_bad_arguments_say_what_is_allowed(spec, message):
    with pytest.raises(InputError, match=message):
        load_method(spec)


def test_groups_smaller_than_k_are_refused():
    with pytest.raises(InputError, match="k=3 needs groups of at least 3 completions, not 2; raise"):
        load_method({"name": "pass-at-k", "k": 3}).group_advantages(rollouts([[1.0, 0.0]]))
