from dataclasses import replace

import pytest
import torch

from aent import Anchor, InputError, TopP, entropy_sum, load_method


def siren(**changes):
    return load_method({"name": "siren", **changes})


def test_published_defaults():
    """arXiv 2509.25133, the authors' code and script."""
    method = siren()
    assert method.controller == Anchor(level=0.005)
    assert method.subset == TopP(mass=0.8)
    assert method.measure.keywords == {"quantile": 0.8}
    assert method.bonus.keywords == {"quantile": 0.8}


def measured(method, tokens):
    return [x.item() for x in entropy_sum(method, tokens)]


def test_it_measures_the_peaks_of_each_response(tokens):
    """Quantile 0.5 of 0.1 0.9 0.5 is 0.5, strictly above it 0.9; of 0.2 0.4 0.3 0.6 it is 0.35: 0.4, 0.6.

    Means of the two responses: 0.9 and (0.4 + 0.6) / 2. Padding's 7.0 counts nowhere.
    """
    assert measured(siren(quantile=0.5), tokens) == pytest.approx([0.9 + 0.5, 2])


def test_the_published_quantile(tokens):
    """0.8 of 0.1 0.9 0.5: at place 1.6 of 0 1 2, 0.5 + 0.6 * 0.4 = 0.74; of the second row, at 2.4 of
    0 to 3, 0.4 + 0.4 * 0.2 = 0.48: one token above in each, 0.9 and 0.6.
    """
    assert measured(siren(), tokens) == pytest.approx([0.9 + 0.6, 2])


def collapsed(tokens):
    """Four responses of five tokens: one peaks at 5 nats, three are flat, at 0, at 0 and at 2 nats."""
    entropy = torch.tensor([[0.0, 0.0, 0.0, 0.0, 5.0], [0.0] * 5, [0.0] * 5, [2.0] * 5])
    grid = torch.ones(4, 5)
    return replace(
        tokens, logp=-grid, old_logp=-grid, advantages=grid, mask=grid, entropy=entropy, group_reward=None
    )


def test_a_response_without_a_peak_counts_as_0(tokens):
    """5 / 4 = 1.25, as in the authors' average over responses; over those with a peak it would be 5."""
    assert measured(siren(), collapsed(tokens)) == [5.0, 4.0]


def test_the_penalty_grows_as_responses_collapse(tokens, added):
    """Anchor 5, coef 0.2: 0 with peaks of 5 in all four, 0.2 * (1.25 - 5)^2 = 2.8125 with three collapsed.

    The slope of the one peak: 2 * 0.2 * (1.25 - 5) / 4 = -0.375; descent raises it.
    """
    three = collapsed(tokens)
    none = replace(three, entropy=three.entropy[:1].expand(4, 5))
    entropy = three.entropy.clone().requires_grad_()
    drift = [replace(t, coef=0.2, band=(5.0, 5.0)) for t in (none, replace(three, entropy=entropy))]
    assert added(siren(), drift[0], count=20).item() == 0
    loss = added(siren(), drift[1], count=20)
    assert loss.item() == pytest.approx(2.8125)
    loss.backward()
    assert entropy.grad[0].tolist() == pytest.approx([0, 0, 0, 0, -0.375])
    assert not entropy.grad[1:].any()


def test_a_response_without_tokens_is_none(tokens):
    """Masked as a whole, say because it was cut off: three responses are left."""
    three = collapsed(tokens)
    mask = three.mask.clone()
    mask[1] = 0
    assert measured(siren(), replace(three, mask=mask)) == [5.0, 3.0]


def test_by_hand(tokens, added):
    """P = 0.7 as above, anchor 0.4, coef 0.2, a micro-batch that is all of the step: 0.2 * 0.3^2 = 0.018.

    Gradient 2 * 0.2 * 0.3 * weight / 2 responses: 0.06 at 0.9, 0.03 at 0.4 and 0.6.
    """
    entropy = tokens.entropy.clone().requires_grad_()
    loss = added(siren(quantile=0.5), replace(tokens, coef=0.2, band=(0.4, 0.4), entropy=entropy))
    assert loss.item() == pytest.approx(0.018)
    loss.backward()
    torch.testing.assert_close(entropy.grad, torch.tensor([[0, 0.06, 0, 0], [0, 0.03, 0, 0.03]]))


def test_gradients_in_float64(check_gradients):
    check_gradients(siren())


def test_it_pulls_from_both_sides(tokens, added):
    below = replace(tokens, coef=0.2, band=(1.0, 1.0), entropy=tokens.entropy.clone().requires_grad_())
    added(siren(quantile=0.5), below).backward()
    assert below.entropy.grad.min() < 0  # descent raises the entropy


def test_a_batch_without_peaks_has_no_gradient_and_one_without_tokens_is_not_measured(tokens, added):
    flat = replace(tokens, coef=0.2, band=(0.4, 0.4), entropy=torch.ones(2, 4, requires_grad=True))
    assert measured(siren(), flat) == [0.0, 2.0]
    loss = added(siren(), flat)
    assert loss.item() == pytest.approx(0.2 * 0.16)
    loss.backward()
    assert flat.entropy.grad.abs().max() == 0
    empty = replace(flat, mask=torch.zeros(2, 4))
    assert measured(siren(), empty) == [0.0, 0.0]
    added(siren(), empty).backward()
    assert torch.isfinite(flat.entropy.grad).all()


def test_what_it_needs_is_named(tokens, added):
    with pytest.raises(InputError, match="needs a controller that aims at an entropy"):
        added(siren(controller={"name": "fixed", "coef": 0.1}), replace(tokens, coef=0.1))
    with pytest.raises(InputError, match=r"quantile=1.0 must be at least 0 and below 1"):
        siren(quantile=1.0)


def test_with_a_band_the_distance_is_the_one_outside_it(tokens, added):
    """P = 0.7: 0.2 * (0.7 - 0.5)^2 above a band, 0.2 * (0.7 - 0.9)^2 below one, 0 inside."""
    for band, distance in (((0.3, 0.5), 0.2), ((0.9, 1.2), 0.2), ((0.5, 0.8), 0.0)):
        seen = replace(tokens, coef=0.2, band=band)
        assert added(siren(quantile=0.5), seen).item() == pytest.approx(0.2 * distance**2, abs=1e-7)
