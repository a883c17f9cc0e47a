import math
from dataclasses import replace

import pytest
import torch

from aent import InputError, Tokens
from aent.methods.clip_cov import clip_cov

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


def left_out(method, tokens):
    return (method.token_advantages(tokens) == 0).nonzero().tolist()


def test_published_defaults():
    """The authors' scripts: 2e-4 between 1 and 5, clipping 1 and 1."""
    assert clip_cov.__kwdefaults__ == {
        "fraction": 2e-4, "low": 1.0, "high": 5.0, "epsilon": 1.0, "epsilon_high": 1.0
    }  # fmt: skip
    assert clip_cov().options == {"epsilon": 1.0, "epsilon_high": 1.0}


def test_by_hand():
    """Between 1 and 5, both excluded, lies only 1.5; 2e-4 of 4 tokens is raised to one token."""
    shaped = clip_cov().token_advantages(TOKENS)
    expected = TOKENS.advantages.clone()
    expected[1, 1] = 0
    assert torch.equal(shaped, expected)


def test_no_token_outside_its_bounds_or_clipped_already_is_taken():
    """Three quarters of four tokens are three, but only as many are taken as there are to take."""
    assert left_out(clip_cov(fraction=0.75, low=0.5), TOKENS) == [[0, 0], [1, 1]]
    assert left_out(clip_cov(fraction=0.75, low=0.5, high=1.2), TOKENS) == [[0, 0]]
    assert left_out(clip_cov(fraction=0.75, low=2.0), TOKENS) == []
    # r = e^-0.4 = 0.67 with A < 0 is clipped at 0.8: the host gives that token no gradient anyway
    assert left_out(clip_cov(fraction=0.75, low=0.5), replace(TOKENS, clip=(0.2, 0.2))) == [[0, 0]]
    # r = e^0.1 = 1.105 with A > 0 is clipped at 1.05
    assert left_out(clip_cov(fraction=0.75, low=0.5), replace(TOKENS, clip=(0.5, 0.05))) == [[1, 1]]


def test_draws_come_from_torchs_generator():
    """40 of 400 candidates: always 40, the same 40 from the same state, and others from another."""
    wide = Tokens(
        logp=torch.linspace(-3, -1, 800).view(2, 400),
        old_logp=torch.linspace(-3, -1, 800).view(2, 400),
        entropy=torch.zeros(2, 400),
        full_entropy=torch.zeros(2, 400),
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


def test_without_a_fraction_it_is_no_part_and_draws_nothing():
    assert clip_cov(fraction=0.0).token_advantages is None


def test_equal_advantages_vary_with_nothing_so_no_token_is_taken():
    flat = replace(TOKENS, advantages=torch.zeros(3, 2))
    assert torch.equal(clip_cov(fraction=0.5).token_advantages(flat), flat.advantages)


def test_a_batch_without_tokens_is_left_alone():
    empty = replace(TOKENS, mask=torch.zeros(3, 2))
    assert torch.equal(clip_cov().token_advantages(empty), TOKENS.advantages)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fraction": 2}, "fraction=2: give a number from 0 to 1"),
        ({"low": 5.0}, "low=5.0 must be below high=5.0"),
        ({"epsilon": -1}, "epsilon=-1: give a number from 0"),
    ],
)
def test_bad_arguments_say_what_is_allowed(arguments, message):
    with pytest.raises(InputError, match=message):
        clip_cov(**arguments)


def test_both_edges_can_be_set():
    assert clip_cov(epsilon=0.1, epsilon_high=0.3).options == {"epsilon": 0.1, "epsilon_high": 0.3}
