import math
from dataclasses import replace

import pytest
import torch

from aent import InputError, Tokens
from aent.methods.archer import archer

TOKENS = Tokens(
    logp=torch.full((2, 5), -1.0, dtype=torch.float64),
    old_logp=torch.full((2, 5), -1.0, dtype=torch.float64),
    ref_logp=torch.full((2, 5), -2.0, dtype=torch.float64),
    entropy=torch.tensor([[0.1, 0.2, 0.3, 0.4, 5.0], [1.0, 2.0, 3.0, 99.0, 99.0]], dtype=torch.float64),
    full_entropy=torch.tensor([[0.1, 0.2, 0.3, 0.4, 5.0], [1.0, 2.0, 3.0, 99.0, 99.0]], dtype=torch.float64),
    advantages=torch.ones(2, 5, dtype=torch.float64),
    mask=torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
)


def test_published_defaults():
    """Quantile 0.8, clip 0.5 above it and 0.2 below, KL 0.001 below it alone."""
    assert archer.__kwdefaults__ == {"quantile": 0.8, "clip": 0.2, "clip_above": 0.5, "kl": 0.001}
    assert archer().options == {"beta": 0.001, "use_bias_correction_kl": False}


def test_by_hand():
    """80% quantiles of the responses: 0.4 + 0.2 * 4.6 = 1.32 and, without padding, 2 + 0.6 * 1 = 2.6. Above
    them lie token 4 of the first and token 2 of the second. KL there, k3: d = -2 + 1 = -1, e^-1 + 1 - 1 =
    0.3679, of which 0.001 is taken back; its slope in log pi is 1 - e^d = 0.6321.
    """
    above = torch.tensor([[0, 0, 0, 0, 1], [0, 0, 1, 0, 0]]).bool()
    method = archer()
    low, high = method.clip(TOKENS)
    torch.testing.assert_close(low, torch.where(above, 0.5, 0.2))
    torch.testing.assert_close(high, low)
    expected = torch.where(above, -0.001 * math.exp(-1), 0.0).double()
    torch.testing.assert_close(method.penalty(TOKENS), expected)
    logp = TOKENS.logp.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(method.penalty(replace(TOKENS, logp=logp)).sum(), logp)
    torch.testing.assert_close(slopes, torch.where(above, -0.001 * (1 - math.exp(-1)), 0.0).double())


def test_without_a_kl_there_is_no_penalty():
    assert archer(kl=0.0).penalty is None
    assert archer(kl=0.0).options["beta"] == 0.0


def test_a_response_without_tokens_is_left_alone():
    empty = replace(TOKENS, mask=torch.zeros(2, 5))
    assert (archer().clip(empty)[0] == 0.2).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantile": 80}, r"quantile=80: give a number from 0 to 1"),
        ({"clip": -0.1}, r"clip=-0.1: give a finite number, at least 0"),
        ({"clip_above": -0.1}, r"clip_above=-0.1: give a finite number, at least 0"),
        ({"kl": math.nan}, r"kl=nan: give a finite number"),
    ],
)
def test_bad_arguments_say_what_is_allowed(arguments, message):
    with pytest.raises(InputError, match=message):
        archer(**arguments)


def test_without_a_reference_policy_its_penalty_is_refused():
    with pytest.raises(InputError, match=r"needs Tokens\.ref_logp"):
        archer().penalty(replace(TOKENS, ref_logp=None))
