from dataclasses import replace

import pytest
import torch

from aent import Fixed, Full, load_method


def test_published_defaults():
    """A3C's and PPO's customary 0.01, over the whole vocabulary."""
    method = load_method("entropy-bonus")
    assert (method.controller, method.subset) == (Fixed(coef=0.01), Full())
    assert method.parts == ("bonus", "controller")


def test_by_hand(check_classic_bonus):
    check_classic_bonus(load_method("entropy-bonus"))


def test_the_gradient_of_every_entropy_is_minus_coef_over_count(tokens, added):
    entropy = tokens.entropy.clone().requires_grad_()
    added(load_method("entropy-bonus"), replace(tokens, coef=0.2, entropy=entropy)).backward()
    assert entropy.grad.flatten().tolist() == pytest.approx((-0.2 / 7 * tokens.mask).flatten().tolist())
    assert torch.isfinite(entropy.grad).all()
