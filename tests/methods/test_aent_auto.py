"""`aent-auto` by hand: what its factor does to advantages, bonus and the first-order effect."""

from dataclasses import replace

import pytest
import torch

from aent import InputError, load_method
from aent.method import Tokens
from aent.objective import first_order_effect, token_advantages, with_terms
from aent.ops import EntropySlopes

AUTO = load_method("aent-auto")
SLOPES = EntropySlopes(*(torch.full((3, 2), value) for value in (0.3, 0.1, 0.3)))
TOKENS = Tokens(
    logp=torch.zeros(3, 2),
    old_logp=torch.zeros(3, 2),
    entropy=torch.tensor([[1.0, 0.5], [0.8, 0.4], [0.6, 9.0]]),
    full_entropy=torch.tensor([[1.0, 0.5], [0.8, 0.4], [0.6, 9.0]]),
    advantages=torch.tensor([[2.0], [-1.0], [0.0]]).expand(3, 2),
    mask=torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]]),
    solved=torch.tensor([0.25, 1.0, 0.0]),
    coef=0.1,
    last_entropy=0.4,
    band=(0.2, 0.8),
    slopes=SLOPES,
)


def mean(values):
    return (values * TOKENS.mask).sum() / 5


def test_advantages_count_by_what_is_unsolved():
    assert token_advantages(AUTO, TOKENS)[:, 0].tolist() == [1.5, 0.0, 0.0]
    assert torch.equal(token_advantages(AUTO, replace(TOKENS, solved=None)), TOKENS.advantages)


@pytest.mark.parametrize(
    ("remaining", "first", "second"), [(1.0, 1.5, 0.0), (0.5, 1.75, -0.5), (0.0, 2.0, -1.0)]
)
def test_what_is_solved_counts_in_full_at_the_end(remaining, first, second):
    """2 (1 - .25 r) and -1 (1 - r)."""
    tokens = replace(TOKENS, remaining=remaining)
    assert token_advantages(AUTO, tokens)[:, 0].tolist() == [first, second, 0.0]


@pytest.mark.parametrize(
    ("entropy", "first", "second"),
    [
        (0.8, 2.0, -1.0),
        (0.9, 2.0, -1.0),
        (0.6, 1.75, -0.5),
        (0.4, 1.5, 0.0),
        (0.1, 1.5, 0.0),
        (None, 2.0, -1.0),
    ],
)
def test_the_weights_begin_as_entropy_is_lost(entropy, first, second):
    """2 (1 - .25 g) and -1 (1 - g) with g = 2 (1 - H / .8), in full once half is gone."""
    tokens = replace(TOKENS, last_entropy=entropy)
    assert token_advantages(AUTO, tokens)[:, 0].tolist() == pytest.approx([first, second, 0.0])


@pytest.mark.parametrize("band", [None, (0.0, 0.0)])
def test_a_start_that_is_not_known_or_has_no_entropy_leaves_the_weights_at_1(band):
    assert torch.equal(token_advantages(AUTO, replace(TOKENS, band=band)), TOKENS.advantages)


def test_the_bonus_counts_by_what_is_unsolved():
    """0.1 * (0.75 * (1 + 0.5) + 0 + 0.6) / 5 = 0.0345; without groups 0.1 * (1.5 + 1.2 + 0.6) / 5."""
    made = with_terms(torch.zeros(()), AUTO, TOKENS, host_mean=mean, count=5.0)
    assert made.item() == pytest.approx(-0.0345)
    whole = with_terms(torch.zeros(()), AUTO, replace(TOKENS, solved=None), host_mean=mean, count=5.0)
    assert whole.item() == pytest.approx(-0.066)


def test_the_effect_is_that_of_the_shaped_advantages_and_the_weighted_bonus():
    """pull: (1.5 * .2 * 2) / 5; push: (.75 * .3 * 2 + 0 + .3) / 5, whatever the coefficient in force."""
    tokens = replace(TOKENS, advantages=token_advantages(AUTO, TOKENS))
    pull, push = first_order_effect(AUTO, tokens, host_mean=mean, count=5.0)
    assert (pull.item(), push.item()) == pytest.approx((0.12, 0.15))
    assert first_order_effect(AUTO, replace(tokens, slopes=None), host_mean=mean, count=5.0) == (0, 0)


def test_a_loop_that_measures_no_slopes_is_stopped():
    """Its controller would see no effect, and never move."""
    with pytest.raises(InputError, match=r"'aent-auto' needs Tokens.slopes, .*aent.logit_slopes"):
        with_terms(torch.zeros(()), AUTO, replace(TOKENS, slopes=None), host_mean=mean, count=5.0)
