from dataclasses import replace

import pytest
import torch

from aent import Doubling, InputError, Tokens, load_method, token_advantages
from aent.methods.repo_r import repo_r

REPO = load_method({"name": "repo-r", "coef": 0.01})


def test_published_range():
    """z in [1e-4, 0.05], towards the first entropy where no target is given; its start was not published."""
    assert REPO.controller == Doubling(coef=0.01, coef_min=1e-4, coef_max=0.05)
    assert REPO.parts == ("token_advantages", "controller")
    with pytest.raises(InputError, match=r"repo-r.* needs coef: no value was published"):
        load_method("repo-r")


def test_by_hand(tokens):
    """z = 0.05, log pi = -1 and -4: 2 (1 + 0.05) = 2.1 and 2 (1 + 0.2) = 2.4 for good tokens; -1 (1 - 0.05)
    = -0.95 and -1 (1 - 0.2) = -0.8 for bad ones. Without an advantage there is none.
    """
    logp = -torch.tensor([[1.0, 4.0, 1.0, 4.0], [1.0, 4.0, 1.0, 4.0]])
    advantages = torch.tensor([[2.0, 2.0, 0.0, 0.0], [-1.0, -1.0, -3.0, -3.0]])
    seen = replace(tokens, logp=logp, advantages=advantages, coef=0.05)
    expected = [[2.1, 2.4, 0.0, 0.0], [-0.95, -0.8, -2.85, -2.4]]
    torch.testing.assert_close(token_advantages(REPO, seen), torch.tensor(expected))


def test_no_advantage_changes_its_sign(tokens):
    """z = 0.05 and log pi = -30: 1 - 1.5 would be negative."""
    seen = replace(tokens, logp=torch.full((2, 4), -30.0), coef=0.05)
    shaped = token_advantages(REPO, seen)
    assert shaped[0].tolist() == pytest.approx([5.0] * 4)
    assert shaped[1].tolist() == [0.0] * 4


def test_it_lowers_the_covariance_that_lowers_the_entropy():
    """The mean of A log pi under the policy falls by z times that of |A| (log pi)^2."""
    torch.manual_seed(0)
    logp, a = -torch.rand(1, 500, dtype=torch.float64), torch.randn(1, 500, dtype=torch.float64)
    seen = Tokens(
        logp=logp,
        old_logp=logp,
        entropy=-logp,
        full_entropy=-logp,
        advantages=a,
        mask=torch.ones(1, 500),
        coef=0.05,
    )
    change = ((token_advantages(REPO, seen) - a) * logp).mean()
    assert change.item() == pytest.approx(-0.05 * (a.abs() * logp.square()).mean().item())


def test_bad_arguments_say_what_is_allowed():
    with pytest.raises(InputError, match=r"coef=1.0 lies outside its box \[coef_min=0.0001, coef_max=0.05\]"):
        repo_r(coef=1.0)
    with pytest.raises(InputError, match=r"coef_min=0.0 must be above 0"):
        repo_r(coef=0.01, coef_min=0.0)
