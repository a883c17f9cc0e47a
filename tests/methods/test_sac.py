import math

import pytest
import torch

from aent import Dual, InputError, load_method

SPEC = {"name": "sac", "target": 0.5, "coef": 0.01, "lr": 0.1}


def test_controller():
    assert load_method(SPEC).controller == Dual(coef=0.01, target=0.5, lr=0.1)


def test_by_hand(check_classic_bonus):
    check_classic_bonus(load_method(SPEC))


def test_what_was_not_published_must_be_given():
    with pytest.raises(InputError, match=r"sac.* needs target, coef, lr: no value was published"):
        load_method("sac")


def test_it_brings_a_bandit_to_its_target_entropy():
    """Ten arms, one better; exact gradients. Without a bonus the entropy goes to 0, with it to 1 nat."""
    torch.manual_seed(0)
    reward = torch.tensor([1.0] + [0.0] * 9)

    def played(controller, steps=1500):
        logits = torch.randn(10, requires_grad=True)
        for _ in range(steps):
            logp = logits.log_softmax(0)
            entropy = -(logp.exp() * logp).sum()
            loss = -(logp.exp() @ reward) - controller.coef * entropy
            (gradient,) = torch.autograd.grad(loss, logits)
            with torch.no_grad():
                logits -= gradient
            controller.update(entropy.item())
        return entropy.item()

    rule = Dual(coef=0.01, target=1.0, lr=0.05)
    assert played(rule) == pytest.approx(1.0, abs=0.01)
    # at the optimum pi ~ exp(reward / coef), and this coef gives 1 nat
    best = 1 / (1 + 9 * math.exp(-1 / rule.coef))
    rest = (1 - best) / 9
    assert -best * math.log(best) - 9 * rest * math.log(rest) == pytest.approx(1.0, abs=0.02)
    assert played(Dual(coef=0.0, target=1.0, lr=0.05)) < 0.05
