from dataclasses import replace

import pytest
import torch

from aent import InputError, Tokens, token_advantages
from aent.methods.clip_b import clip_b, discriminator


def batch(logp, entropy, advantages, **changes):
    logp = torch.tensor([logp], dtype=torch.float64)
    return Tokens(
        **{
            "logp": logp,
            "old_logp": logp,
            "entropy": torch.tensor([entropy], dtype=torch.float64),
            "full_entropy": torch.tensor([entropy], dtype=torch.float64),
            "advantages": torch.tensor([advantages], dtype=torch.float64),
            "mask": torch.ones_like(logp),
        }
        | changes
    )


def test_published_default():
    assert clip_b.__kwdefaults__ == {"deviations": 2.5}
    assert clip_b().parts == ("token_advantages",)


def test_the_discriminator_is_minus_the_slope_of_the_entropy():
    """dH/dz_j = -p_j (log p_j + H), here by autograd for every token of a vocabulary."""
    torch.manual_seed(0)
    logits = torch.randn(7, dtype=torch.float64, requires_grad=True)
    logp = logits.log_softmax(0)
    entropy = -(logp.exp() * logp).sum()
    (slopes,) = torch.autograd.grad(entropy, logits)
    seen = batch(logp.tolist(), [entropy.item()] * 7, [1.0] * 7)
    torch.testing.assert_close(discriminator(seen)[0], -slopes)


ONE = batch([-1.0] * 20 + [-2.0], [1.0] * 20 + [0.0], [-1.0] * 21)
"""Twenty tokens of S = e^-1 (-1 + 1) = 0 and one of e^-2 * -2 = -0.2707.

Mean -0.01289; of squares 0.2707^2 / 21 - 0.01289^2 times 21 / 20: a standard deviation of 0.05907. The one
lies (-0.2707 + 0.01289) / 0.05907 = -4.364 deviations away.
"""


def test_by_hand():
    kept = [-1.0] * 20
    assert token_advantages(clip_b(), ONE)[0].tolist() == [*kept, 0.0]
    assert token_advantages(clip_b(deviations=4.36), ONE)[0].tolist() == [*kept, 0.0]
    assert token_advantages(clip_b(deviations=4.37), ONE)[0].tolist() == [*kept, -1.0]


def test_only_bad_tokens_below_the_mean_are_left_out():
    for advantage in (0.0, 0.5, 1.0):
        good = replace(ONE, advantages=torch.full_like(ONE.advantages, advantage))
        assert torch.equal(token_advantages(clip_b(), good), good.advantages)
    above = replace(
        ONE, full_entropy=torch.cat([ONE.full_entropy[:, :20], torch.tensor([[4.0]])], 1)
    )  # S = +0.27
    assert torch.equal(token_advantages(clip_b(), above), above.advantages)


def test_mean_and_deviation_are_of_the_unmasked_tokens_of_all_ranks():
    """Beside a rank with the same S twenty times, it is no exception; nor if the others are masked."""
    score = discriminator(ONE)[0, -1]
    beside = replace(ONE, gather=lambda mine: torch.cat([mine, score.repeat(20)]))
    assert torch.equal(token_advantages(clip_b(), beside), ONE.advantages)
    mask = torch.zeros(1, 21)
    mask[0, -2:] = 1
    assert torch.equal(token_advantages(clip_b(), replace(ONE, mask=mask)), ONE.advantages)


def test_fewer_than_two_tokens_have_no_deviation():
    for mask in (torch.zeros(1, 21), torch.eye(21)[:1]):
        assert torch.equal(token_advantages(clip_b(), replace(ONE, mask=mask)), ONE.advantages)


def test_bad_arguments_say_what_is_allowed():
    with pytest.raises(InputError, match=r"deviations=-1.0: give a finite number, at least 0"):
        clip_b(deviations=-1.0)
    clip_b(deviations=0.0)
    with pytest.raises(InputError, match=r"deviations=-0.5"):
        clip_b(deviations=-0.5)
