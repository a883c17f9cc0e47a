from dataclasses import replace

import torch

from aent import Tokens
from aent.methods.covariance import covariance

# Mean A = 0 and mean log pi = -1.5 over the four tokens that count; the fifth and sixth are padding.
TOKENS = Tokens(
    logp=torch.tensor([[-0.5, -1.5], [-1.0, -3.0], [-9.0, -9.0]], dtype=torch.float64),
    old_logp=torch.zeros(3, 2, dtype=torch.float64),
    entropy=torch.zeros(3, 2, dtype=torch.float64),
    full_entropy=torch.zeros(3, 2, dtype=torch.float64),
    advantages=torch.tensor([[1.0, 1.0], [-1.0, -1.0], [7.0, 7.0]], dtype=torch.float64),
    mask=torch.tensor([[1, 1], [1, 1], [0, 0]]),
)


def test_covariance_by_hand():
    """(A - 0) (log pi + 1.5): 1 * 1, 1 * 0, -1 * 0.5, -1 * -1.5."""
    expected = torch.tensor([[1.0, 0.0], [-0.5, 1.5]], dtype=torch.float64)
    torch.testing.assert_close(covariance(TOKENS)[:2], expected)


def test_means_are_of_all_ranks():
    """Beside a rank whose values are larger by 2, all means are larger by 1: (A - 1) (log pi + 0.5)."""
    beside = replace(TOKENS, gather=lambda values: torch.cat([values, values + 2]))
    expected = torch.tensor([[0.0, 0.0], [1.0, 5.0]], dtype=torch.float64)
    torch.testing.assert_close(covariance(beside)[:2], expected)


def test_means_in_double_precision():
    """1e-12 apart, which float32 cannot tell: the two rows keep their covariance of (0.5e-12)^2."""
    step = torch.tensor([[0.0], [1e-12]], dtype=torch.float64)
    near = Tokens(
        logp=step, old_logp=step, entropy=step, full_entropy=step, advantages=1 + step, mask=torch.ones(2, 1)
    )
    torch.testing.assert_close(covariance(near), torch.full((2, 1), 0.25e-24).double(), rtol=1e-3, atol=0)
