import math
from dataclasses import replace

import pytest
import torch

from aent import InputError
from aent.method import Tokens
from aent.methods.clip_cov import clip_cov
from aent.methods.covariance import covariance
from aent.methods.kl_cov import kl_cov

# Mean A = 0 and mean log pi = -1.5 over the four tokens that count, so (A - 0) (log pi + 1.5) =
# 1 * 1, 1 * 0, -1 * 0.5, -1 * -1.5. The fifth is padding.
TOKENS = Tokens(
    logp=torch.tensor([[-0.5, -1.5], [-1.0, -3.0], [-9.0, -9.0]], dtype=torch.float64),
    old_logp=torch.tensor([[-0.6, -1.3], [-1.3, -2.6], [-9.0, -9.0]], dtype=torch.float64),
    entropy=torch.zeros(3, 2, dtype=torch.float64),
    advantages=torch.tensor([[1.0, 1.0], [-1.0, -1.0], [7.0, 7.0]], dtype=torch.float64),
    mask=torch.tensor([[1, 1], [1, 1], [0, 0]]),
    clip=(1.0, 1.0),
)
COV = torch.tensor([[1.0, 0.0], [-0.5, 1.5]], dtype=torch.float64)


def left_out(method, tokens):
    return (method.token_advantages(tokens) == 0).nonzero().tolist()


def test_covariance_by_hand():
    torch.testing.assert_close(covariance(TOKENS)[:2], COV)


def test_published_defaults():
    """The authors' scripts: Clip-Cov 2e-4 between 1 and 5, clipping 1 and 1; KL-Cov for 7B 0.2 percent with
    coefficient 1, no clipping.
    """
    assert clip_cov.__kwdefaults__ == {
        "fraction": 2e-4, "low": 1.0, "high": 5.0, "epsilon": 1.0, "epsilon_high": 1.0
    }  # fmt: skip
    assert clip_cov().options == {"epsilon": 1.0, "epsilon_high": 1.0}
    assert kl_cov.__kwdefaults__ == {
        "fraction": 2e-3, "coef": 1.0, "epsilon": 1.0, "epsilon_high": math.inf
    }  # fmt: skip
    assert kl_cov().options == {"epsilon": 1.0, "epsilon_high": math.inf}


def test_clip_cov_by_hand():
    """Between 1 and 5, both excluded, lies only 1.5; 2e-4 of 4 tokens is raised to one token."""
    shaped = clip_cov().token_advantages(TOKENS)
    expected = TOKENS.advantages.clone()
    expected[1, 1] = 0
    assert torch.equal(shaped, expected)


def test_clip_cov_takes_no_token_outside_its_bounds_or_clipped_already():
    """Three quarters of four tokens are three, but only as many are taken as there are to take."""
    assert left_out(clip_cov(fraction=0.75, low=0.5), TOKENS) == [[0, 0], [1, 1]]
    assert left_out(clip_cov(fraction=0.75, low=0.5, high=1.2), TOKENS) == [[0, 0]]
    assert left_out(clip_cov(fraction=0.75, low=2.0), TOKENS) == []
    # r = e^-0.4 = 0.67 with A < 0 is clipped at 0.8: the host gives that token no gradient anyway
    assert left_out(clip_cov(fraction=0.75, low=0.5), replace(TOKENS, clip=(0.2, 0.2))) == [[0, 0]]


def test_clip_cov_draws_with_torchs_generator():
    """40 of 400 candidates: always 40, the same 40 from the same state, and others from another."""
    wide = Tokens(
        logp=torch.linspace(-3, -1, 800).view(2, 400),
        old_logp=torch.linspace(-3, -1, 800).view(2, 400),
        entropy=torch.zeros(2, 400),
        advantages=torch.tensor([[-1.0], [1.0]]).expand(2, 400),
        mask=torch.tensor([[0], [1]]).expand(2, 400),
    )
    method = clip_cov(fraction=0.1, low=-math.inf, high=math.inf)
    torch.manual_seed(0)
    first, second = left_out(method, wide), left_out(method, wide)
    torch.manual_seed(0)
    again = left_out(method, wide)
    assert len(first) == len(second) == 40
    assert {row for row, _ in first} == {1}
    assert first == again != second
    columns = torch.tensor(first)[:, 1].float()
    assert columns.mean() == pytest.approx(199.5, abs=55)  # 3 standard errors of a uniform draw


def test_without_a_fraction_clip_cov_is_no_part_and_draws_nothing():
    assert clip_cov(fraction=0.0).token_advantages is None


def test_kl_cov_by_hand():
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


def test_on_policy_the_penalty_of_kl_cov_has_no_gradient():
    logp = TOKENS.old_logp.clone().requires_grad_()
    values = kl_cov(fraction=1.0).penalty(replace(TOKENS, logp=logp))
    (slopes,) = torch.autograd.grad(values.sum(), logp)
    assert not slopes.any()


def test_tokens_are_counted_over_all_ranks():
    """Another rank with the same four: a quarter of eight are two, the 1.5 of each."""
    twice = replace(TOKENS, gather=lambda values: torch.cat([values, values]))
    assert kl_cov(fraction=0.25).penalty(twice).nonzero().tolist() == [[1, 1]]
    assert kl_cov(fraction=0.5).penalty(twice).nonzero().tolist() == [[0, 0], [1, 1]]


def test_equal_advantages_vary_with_nothing_so_no_token_is_held():
    flat = replace(TOKENS, advantages=torch.zeros(3, 2))
    assert not kl_cov(fraction=0.5).penalty(flat).any()
    assert torch.equal(clip_cov(fraction=0.5).token_advantages(flat), flat.advantages)


def test_a_batch_without_tokens_is_left_alone():
    empty = replace(TOKENS, mask=torch.zeros(3, 2))
    assert torch.equal(clip_cov().token_advantages(empty), TOKENS.advantages)
    assert not kl_cov().penalty(empty).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: clip_cov(fraction=2), "fraction=2: give a number from 0 to 1"),
        (lambda: clip_cov(low=5.0), "low=5.0 must be below high=5.0"),
        (lambda: clip_cov(epsilon=-1), "epsilon=-1: give a number from 0"),
        (lambda: kl_cov(fraction=-0.1), "fraction=-0.1: give a number from 0 to 1"),
        (lambda: kl_cov(coef=-1.0), "coef=-1.0: give a finite number, at least 0"),
    ],
)
def test_bad_arguments_say_what_is_allowed(make, message):
    with pytest.raises(InputError, match=message):
        make()
