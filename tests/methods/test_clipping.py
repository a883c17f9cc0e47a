import math
from dataclasses import replace

import pytest
import torch

from aent import InputError, load_method
from aent.method import Tokens
from aent.methods.archer import archer
from aent.methods.ce_gppo import ce_gppo
from aent.methods.clip_higher import clip_higher

# Ratios 0.5 and 1.5 lie outside [0.8, 1.28]; each clips only with the advantage that pushes it further.
RATIO = torch.tensor([[0.5, 1.5, 1.5, 0.5, 1.0]], dtype=torch.float64)
TOKENS = Tokens(
    logp=RATIO.log() - 1,
    old_logp=torch.full((1, 5), -1.0, dtype=torch.float64),
    entropy=torch.zeros(1, 5, dtype=torch.float64),
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
    (found,) = torch.autograd.grad(function(replace(tokens, logp=logp)).sum(), logp)
    return found


def test_published_defaults():
    """DAPO's scripts: 0.2 and 0.28. CE-GPPO's 1.5B script: beta1 0.5, beta2 1. Archer's: quantile 0.8, clip
    0.5 above it and 0.2 below, KL 0.001 below it alone.
    """
    assert load_method("clip-higher").options == {"epsilon": 0.2, "epsilon_high": 0.28}
    assert load_method("archer").options["beta"] == 0.001
    for factory, defaults in (
        (ce_gppo, {"beta1": 0.5, "beta2": 1.0}),
        (archer, {"quantile": 0.8, "clip": 0.2, "clip_above": 0.5, "kl": 0.001}),
        (clip_higher, {"epsilon": 0.2, "epsilon_high": 0.28}),
    ):
        assert factory.__kwdefaults__ == defaults


def test_ce_gppo_by_hand():
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


def test_ce_gppo_and_the_hosts_loss_make_the_published_one():
    generator = torch.Generator().manual_seed(0)
    shape = (7, 11)
    tokens = Tokens(
        logp=torch.randn(shape, generator=generator, dtype=torch.float64) - 3,
        old_logp=torch.randn(shape, generator=generator, dtype=torch.float64) - 3,
        entropy=torch.zeros(shape, dtype=torch.float64),
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


def test_ce_gppo_without_scales_adds_no_gradient():
    assert not gradient(ce_gppo(beta1=0.0, beta2=0.0).penalty, TOKENS).any()


UNCERTAIN = Tokens(
    logp=torch.full((2, 5), -1.0, dtype=torch.float64),
    old_logp=torch.full((2, 5), -1.0, dtype=torch.float64),
    ref_logp=torch.full((2, 5), -2.0, dtype=torch.float64),
    entropy=torch.tensor([[0.1, 0.2, 0.3, 0.4, 5.0], [1.0, 2.0, 3.0, 99.0, 99.0]], dtype=torch.float64),
    advantages=torch.ones(2, 5, dtype=torch.float64),
    mask=torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
)


def test_archer_by_hand():
    """80% quantiles of the responses: 0.4 + 0.2 * 4.6 = 1.32 and, without padding, 2 + 0.6 * 1 = 2.6. Above
    them lie token 4 of the first and token 2 of the second. KL there, k3: d = -2 + 1 = -1, e^-1 + 1 - 1 =
    0.3679, of which 0.001 is taken back; its slope in log pi is 1 - e^d = 0.6321.
    """
    above = torch.tensor([[0, 0, 0, 0, 1], [0, 0, 1, 0, 0]]).bool()
    method = archer()
    low, high = method.clip(UNCERTAIN)
    torch.testing.assert_close(low, torch.where(above, 0.5, 0.2))
    torch.testing.assert_close(high, low)
    expected = torch.where(above, -0.001 * math.exp(-1), 0.0).double()
    torch.testing.assert_close(method.penalty(UNCERTAIN), expected)
    slopes = torch.where(above, -0.001 * (1 - math.exp(-1)), 0.0).double()
    torch.testing.assert_close(gradient(method.penalty, UNCERTAIN), slopes)


def test_archer_leaves_a_response_without_tokens_alone():
    empty = replace(UNCERTAIN, mask=torch.zeros(2, 5))
    assert (archer().clip(empty)[0] == 0.2).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: clip_higher(epsilon=-0.1), r"epsilon=-0.1: give a number from 0 to inf"),
        (lambda: ce_gppo(beta1=-1.0), r"beta1=-1.0: give a finite number, at least 0"),
        (lambda: ce_gppo(beta2=math.inf), r"beta2=inf: give a finite number, at least 0"),
        (lambda: archer(quantile=80), r"quantile=80: give a number from 0 to 1"),
        (lambda: archer(kl=math.nan), r"kl=nan: give a finite number"),
    ],
)
def test_bad_arguments_say_what_is_allowed(make, message):
    with pytest.raises(InputError, match=message):
        make()
