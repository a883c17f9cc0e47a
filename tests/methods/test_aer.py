from dataclasses import replace

import pytest
import torch

from aent import InputError, Share, load_method

SPEC = {"name": "aer", "coef": 0.01, "lr": 0.1, "easy": 0.5, "hard": 2.0}
AER = load_method(SPEC)


def test_defaults():
    """0.4: a digest of arXiv 2510.10959."""
    assert AER.controller == Share(coef=0.01, lr=0.1, share=0.4)


def test_what_was_not_published_must_be_given():
    with pytest.raises(InputError, match=r"aer.* needs coef, lr, easy, hard: no value was published"):
        load_method("aer")


def test_by_hand(tokens, added):
    """Factor hard + (easy - hard) * reward = 2 - 1.5 * reward: 1.625 at 0.25, 0.5 at 1.

    Entropies 1.5 and 1.5 per row, coef 0.2: -(1.625 * 1.5 + 0.5 * 1.5) * 0.2 / 7 = -0.6375 / 7.
    """
    entropy = tokens.entropy.clone().requires_grad_()
    loss = added(AER, replace(tokens, coef=0.2, entropy=entropy))
    assert loss.item() == pytest.approx(-0.6375 / 7)
    loss.backward()
    factors = torch.tensor([[1.625], [0.5]])
    torch.testing.assert_close(entropy.grad, -0.2 * factors * tokens.mask / 7)


def test_gradients_in_float64(check_gradients):
    check_gradients(AER)


def test_rewards_outside_0_and_1_count_as_the_ends(tokens, added):
    tokens = replace(tokens, coef=1.0, group_reward=torch.tensor([-3.0, 5.0]))
    assert added(AER, tokens).item() == pytest.approx(-(2 * 1.5 + 0.5 * 1.5) / 7)


def test_it_needs_groups_and_an_order(tokens, added):
    with pytest.raises(InputError, match="come in no groups"):
        added(AER, replace(tokens, coef=0.2, group_reward=None))
    with pytest.raises(InputError, match=r"easy=3.0 and hard=2.0 must satisfy 0 <= easy <= hard"):
        load_method(SPEC | {"easy": 3.0})
    with pytest.raises(InputError, match=r"easy=-1.0 and hard=2.0 must satisfy 0 <= easy <= hard"):
        load_method(SPEC | {"easy": -1.0})
