from dataclasses import replace

import pytest
import torch

from aent import InputError, Tokens
from aent.methods.forking_tokens import forking_tokens

TOKENS = Tokens(
    logp=torch.tensor([[0.5, 0.25, 0.8], [0.5, 0.1, 1.0]], dtype=torch.float64).log(),
    old_logp=torch.tensor([[0.5, 0.5, 0.8], [0.25, 0.1, 1.0]], dtype=torch.float64).log(),
    entropy=torch.tensor([[1.0, 2.0, 0.5], [1.5, 0.25, 9.0]], dtype=torch.float64),
    full_entropy=torch.tensor([[1.0, 2.0, 0.5], [1.5, 0.25, 9.0]], dtype=torch.float64),
    advantages=torch.tensor([[1.0, 1.0, 1.0], [-2.0, -2.0, -2.0]], dtype=torch.float64),
    mask=torch.tensor([[1, 1, 1], [1, 1, 0]]),
)


def test_published_default():
    """80/20: the top 20 percent."""
    assert forking_tokens.__kwdefaults__ == {"fraction": 0.2}


def test_by_hand():
    """Entropies 0.25, 0.5, 1, 1.5, 2 without the padding's 9. Their 80% quantile is 1.5 + 0.2 * 0.5 = 1.6,
    which 2 alone reaches; their 50% quantile is 1, which 1 itself reaches too.
    """
    a, masked = TOKENS.advantages, TOKENS.mask
    top = torch.tensor([[0, 1, 0], [0, 0, 0]])
    assert torch.equal(forking_tokens().token_advantages(TOKENS) * masked, a * top)
    half = torch.tensor([[1, 1, 0], [1, 0, 0]])
    assert torch.equal(forking_tokens(fraction=0.5).token_advantages(TOKENS) * masked, a * half)
    assert torch.equal(forking_tokens(fraction=1.0).token_advantages(TOKENS), a)


def test_the_quantile_is_of_all_ranks():
    """Beside a rank whose entropies are all larger, no token here is among the top half."""
    beside = replace(TOKENS, gather=lambda values: torch.cat([values, values + 10]))
    assert not (forking_tokens(fraction=0.5).token_advantages(beside) * TOKENS.mask).any()


def test_a_batch_without_tokens_is_left_alone():
    empty = replace(TOKENS, mask=torch.zeros(2, 3))
    assert torch.equal(forking_tokens().token_advantages(empty), TOKENS.advantages)


def test_bad_arguments_say_what_is_allowed():
    with pytest.raises(InputError, match="fraction=20: give a number from 0 to 1"):
        forking_tokens(fraction=20)
