"""A micro-batch with numbers that can be followed by hand."""

from dataclasses import replace

import pytest
import torch

from aent import Tokens, with_terms


@pytest.fixture
def tokens():
    """Two completions; the last token of the first is padding, with values that would show."""
    return Tokens(
        logp=torch.tensor([[0.97, 0.9, 0.99, 0.98], [0.96, 0.5, 0.1, 0.999]]).log(),
        old_logp=torch.tensor([[0.97, 0.9, 0.90, 0.98], [0.80, 0.5, 0.1, 0.999]]).log(),
        entropy=torch.tensor([[0.1, 0.9, 0.5, 7.0], [0.2, 0.4, 0.3, 0.6]]),
        full_entropy=torch.tensor([[0.1, 0.9, 0.5, 7.0], [0.2, 0.4, 0.3, 0.6]]),
        advantages=torch.tensor([[2.0], [-1.0]]).expand(2, 4),
        mask=torch.tensor([[1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]]),
        group_reward=torch.tensor([0.25, 1.0]),
    )


@pytest.fixture
def added():
    """What a method adds to a loss of 0 when the host averages over all 7 tokens that count."""

    def terms(method, tokens, count=7.0):
        zero = torch.zeros((), dtype=tokens.entropy.dtype)
        mean = lambda values: (values * tokens.mask).sum() / count  # noqa: E731
        return with_terms(zero, method, tokens, host_mean=mean, count=count)

    return terms


@pytest.fixture
def check_gradients(tokens, added):
    """Compare autograd of what a method adds, with respect to float64 logits, with finite differences."""

    def check(method, **changes):
        torch.manual_seed(0)
        logits = torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True)
        fixed = replace(
            tokens,
            **{"coef": 0.3, "band": (0.4, 0.4)} | changes,
            mask=tokens.mask.double(),
            advantages=tokens.advantages.double(),
            old_logp=logits.detach().log_softmax(-1)[..., 0] - 0.1,
        )

        def loss(logits):
            logp = logits.log_softmax(-1)
            entropy = -(logp.exp() * logp).sum(-1)
            return added(method, replace(fixed, logp=logp[..., 0], entropy=entropy))

        assert torch.autograd.grad(loss(logits), logits)[0].abs().max() > 1e-3
        assert torch.autograd.gradcheck(loss, logits)

    return check


@pytest.fixture
def check_classic_bonus(tokens, added, check_gradients):
    """Check that a method adds ``-coef * mean H``.

    With coef 0.2 and entropies 0.1 + 0.9 + 0.5 + 0.2 + 0.4 + 0.3 + 0.6 = 3 over 7 tokens: -0.2 * 3 / 7.
    """

    def check(method):
        assert added(method, replace(tokens, coef=0.2)).item() == pytest.approx(-0.6 / 7)
        check_gradients(method)

    return check
