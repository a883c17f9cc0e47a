import math
from dataclasses import replace

import pytest
import torch

from aent import InputError, Tokens
from aent.methods.kl_cov import kl_cov

# Covariances 1, 0, -0.5 and 1.5 (tests/methods/test_covariance.py); the third row is padding.
TOKENS = Tokens(
    logp=torch.tensor([[-0.5, -1.5], [-1.0, -3.0], [-9.0, -9.0]], dtype=torch.float64),
    old_logp=torch.tensor([[-0.6, -1.3], [-1.3, -2.6], [-9.0, -9.0]], dtype=torch.float64),
    entropy=torch.zeros(3, 2, dtype=torch.float64),
    full_entropy=torch.zeros(3, 2, dtype=torch.float64),
    advantages=torch.tensor([[1.0, 1.0], [-1.0, -1.0], [7.0, 7.0]], dtype=torch.float64),
    mask=torch.tensor([[1, 1], [1, 1], [0, 0]]),
    clip=(1.0, 1.0),
)


def test_published_defaults():
    """The authors' script for 7B: 0.2 percent with coefficient 1, no clipping."""
    assert kl_cov.__kwdefaults__ == {
        "fraction": 2e-3, "coef": 1.0, "epsilon": 1.0, "epsilon_high": math.inf
    }  # fmt: skip
    assert kl_cov().options == {"epsilon": 1.0, "epsilon_high": math.inf}


def test_by_hand():
    """A quarter of four tokens is one, that of 1.5; there abs(log r) = abs(-3 + 2.6) = 0.4 with slope -1.
    Half of them are two, the other with abs(-0.5 + 0.6) = 0.1 and slope 1.
    """

    def value_and_slope(method):
        logp = TOKENS.logp.clone().requires_grad_()
        values = method.penalty(replace(TOKENS, logp=logp))
        return values.detach(), torch.autograd.grad(values.sum(), logp)[0]

    one = torch.tensor([[0, 0], [0, 1.0], [0, 0]]).double()
    values, slopes = value_and_slope(kl_cov(fraction=0.25))
    torch.testing.assert_close(values, 0.4 * one)
    torch.testing.assert_close(slopes, -one)
    other = torch.tensor([[1.0, 0], [0, 0], [0, 0]]).double()
    values, slopes = value_and_slope(kl_cov(fraction=0.5, coef=0.3))
    torch.testing.assert_close(values, 0.3 * (0.4 * one + 0.1 * other))
    torch.testing.assert_close(slopes, 0.3 * (other - one))


def test_on_policy_the_penalty_has_no_gradient():
    logp = TOKENS.old_logp.clone().requires_grad_()
    values = kl_cov(fraction=1.0).penalty(replace(TOKENS, logp=logp))
    (slopes,) = torch.autograd.grad(values.sum(), logp)
    assert not slopes.any()


def test_tokens_are_counted_over_all_ranks():
    """Another rank with the same four: a quarter of eight are two, the 1.5 of each."""
    twice = replace(TOKENS, gather=lambda values: torch.cat([values, values]))
    assert kl_cov(fraction=0.25).penalty(twice).nonzero().tolist() == [[1, 1]]
    assert kl_cov(fraction=0.5).penalty(twice).nonzero().tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("seed", range(5))
def test_as_many_tokens_in_double_precision_as_in_single(seed):
    """Compared in float32, the token at the cut can lie above its own rounded value: one too many."""
    generator = torch.Generator().manual_seed(seed)
    logp, old, advantages = (torch.randn(20, 50, generator=generator, dtype=torch.float64) for _ in range(3))
    batch = Tokens(
        logp=logp,
        old_logp=old,
        entropy=logp,
        full_entropy=logp,
        advantages=advantages,
        mask=torch.ones(20, 50),
    )
    for fraction in (0.002, 0.01, 0.05):
        assert kl_cov(fraction=fraction).penalty(batch).count_nonzero() == 1000 * fraction


def test_equal_advantages_vary_with_nothing_so_no_token_is_held():
    assert not kl_cov(fraction=0.5).penalty(replace(TOKENS, advantages=torch.zeros(3, 2))).any()


def test_a_batch_without_tokens_is_left_alone():
    assert not kl_cov().penalty(replace(TOKENS, mask=torch.zeros(3, 2))).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fraction": -0.1}, "fraction=-0.1: give a number from 0 to 1"),
        ({"coef": -1.0}, "coef=-1.0: give a finite number, at least 0"),
    ],
)
def test_bad_arguments_say_what_is_allowed(arguments, message):
    with pytest.raises(InputError, match=message):
        kl_cov(**arguments)
