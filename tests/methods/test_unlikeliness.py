import pytest
import torch

from aent import InputError, Rollouts, load_method


def rollouts(rewards, logp=None):
    return Rollouts(
        rewards=torch.tensor(rewards),
        mean_logp=pytest.fail if logp is None else lambda: torch.tensor(logp),
    )


def test_by_hand():
    """r * (1 - b * rank / G), arXiv 2506.02355, G = 4 and b = 0.25.

    Mean log-probabilities -1, -3, -2, -0.5 have ranks 2, 0, 1, 3. The correct ones earn 1 - 0.25 * 2/4,
    1, and 1 - 0.25 * 3/4, so the likelier the less; the wrong one keeps its 0 whatever its rank.
    """
    method = load_method("unlikeliness")
    made = method.rewards(rollouts([[1.0, 1.0, 0.0, 1.0]], [[-1.0, -3.0, -2.0, -0.5]]))
    assert made.tolist() == [[0.875, 1.0, 0.0, 0.8125]]


def test_it_leaves_wrong_completions_alone():
    """A penalty of -1 would otherwise shrink for likely mistakes; groups are ranked on their own."""
    method = load_method({"name": "unlikeliness", "b": 1.0})
    made = method.rewards(rollouts([[-1.0, 0.2], [2.0, 2.0]], [[-0.1, -0.2], [-9.0, -8.0]]))
    assert made.tolist() == [pytest.approx([-1.0, 0.2]), [2.0, 1.0]]


def test_published_default():
    """b: the code of arXiv 2506.02355. 1 - 0.25 / 2 for the likelier of two."""
    assert load_method("unlikeliness").rewards(rollouts([[1.0, 1.0]], [[0.0, -1.0]])).tolist() == [
        [0.875, 1.0]
    ]


def test_a_reward_at_the_threshold_is_wrong():
    made = load_method({"name": "unlikeliness", "b": 1.0, "threshold": 0.3}).rewards(
        rollouts([[0.3, 0.31]], [[0.0, 1.0]])
    )
    assert made.tolist() == [pytest.approx([0.3, 0.31 / 2])]


@pytest.mark.parametrize("b", [-0.1, 1.5])
def test_bad_arguments_say_what_is_allowed(b):
    with pytest.raises(InputError, match=rf"b={b} is outside \[0, 1\]"):
        load_method({"name": "unlikeliness", "b": b})
