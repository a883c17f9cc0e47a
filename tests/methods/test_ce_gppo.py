import math
from dataclasses import replace

import pytest
import torch

from aent import InputError, Tokens
from aent.methods.ce_gppo import ce_gppo

# Ratios 0.5 and 1.5 lie outside [0.8, 1.28]; each clips only with the advantage that pushes it further.
RATIO = torch.tensor([[0.5, 1.5, 1.5, 0.5, 1.0]], dtype=torch.float64)
TOKENS = Tokens(
    logp=RATIO.log() - 1,
    old_logp=torch.full((1, 5), -1.0, dtype=torch.float64),
    entropy=torch.zeros(1, 5, dtype=torch.float64),
    full_entropy=torch.zeros(1, 5, dtype=torch.float64),
    advantages=torch.tensor([[-1.0, 2.0, -1.0, 2.0, 1.0]], dtype=torch.float64),
    mask=torch.ones(1, 5),
    clip=(0.2, 0.28),
)


def clip_loss(tokens):
    """The host's: -min(r A, clip(r, 1 - low, 1 + high) A)."""
    low, high = tokens.clip
    ratio, a = tokens.ratio, tokens.advantages
    return -torch.minimum(ratio * a, ratio.clamp(1 - low, 1 + high) * a)


def gradient(function, tokens):
    logp = tokens.logp.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(function(replace(tokens, logp=logp)).sum(), logp)
    return slopes


def test_published_defaults():
    """The 1.5B script: beta1 0.5, beta2 1."""
    assert ce_gppo.__kwdefaults__ == {"beta1": 0.5, "beta2": 1.0}
    assert ce_gppo().needs_clip


def test_by_hand():
    """Published: -beta1 (1 - e) A r/sg(r) at the low edge, -beta2 (1 + e) A r/sg(r) at the high one.

    Token 0: A = -1 at 0.8: 0.5 * 0.8 = 0.4 for the host's 0.8, so -0.4, with the gradient 0.4.
    Token 1: A = 2 at 1.28: -2 * 1.28 = -2.56, as the host has it, so 0, with the gradient -2.56.
    The others are not clipped: nothing is added.
    """
    penalty = ce_gppo().penalty
    expected = torch.tensor([[-0.4, 0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(penalty(TOKENS), expected)
    slopes = torch.tensor([[0.4, -2.56, 0.0, 0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(gradient(penalty, TOKENS), slopes)
    # vLLM's importance correction multiplies what continues the host's loss
    halved = replace(TOKENS, weight=torch.full((1, 1), 0.5, dtype=torch.float64))
    torch.testing.assert_close(gradient(penalty, halved), slopes / 2)


def test_with_the_hosts_loss_it_is_the_published_one():
    generator = torch.Generator().manual_seed(0)
    shape = (7, 11)
    tokens = Tokens(
        logp=torch.randn(shape, generator=generator, dtype=torch.float64) - 3,
        old_logp=torch.randn(shape, generator=generator, dtype=torch.float64) - 3,
        entropy=torch.zeros(shape, dtype=torch.float64),
        full_entropy=torch.zeros(shape, dtype=torch.float64),
        advantages=torch.randn(shape, generator=generator, dtype=torch.float64),
        mask=torch.ones(shape),
        clip=(0.2, 0.28),
    )
    method = ce_gppo(beta1=0.75, beta2=0.9)

    def published(t):
        r, a = t.ratio, t.advantages
        return torch.where(
            (a < 0) & (r < 0.8),
            -0.75 * 0.8 * a * r / r.detach(),
            torch.where((a > 0) & (r > 1.28), -0.9 * 1.28 * a * r / r.detach(), -r * a),
        )

    def ours(t):
        return clip_loss(t) + method.penalty(t)

    torch.testing.assert_close(ours(tokens), published(tokens))
    torch.testing.assert_close(gradient(ours, tokens), gradient(published, tokens))
    assert (gradient(ours, tokens) - gradient(clip_loss, tokens)).count_nonzero() > 20


def test_without_scales_it_adds_no_gradient():
    assert not gradient(ce_gppo(beta1=0.0, beta2=0.0).penalty, TOKENS).any()


@pytest.mark.parametrize(("argument", "value"), [("beta1", -1.0), ("beta2", math.inf)])
def test_bad_arguments_say_what_is_allowed(argument, value):
    with pytest.raises(InputError, match=f"{argument}={value}: give a finite number, at least 0"):
        ce_gppo(**{argument: value})
