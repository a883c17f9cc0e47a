from dataclasses import replace

import pytest
import torch

from aent import Anchor, InputError, TopP, load_method, measure_weights


def siren(**changes):
    return load_method({"name": "siren", **changes})


def test_published_defaults():
    """arXiv 2509.25133, the authors' code and script."""
    method = siren()
    assert method.controller == Anchor(level=0.005)
    assert method.subset == TopP(mass=0.8)
    assert method.measure.keywords == {"quantile": 0.8}
    assert method.bonus.keywords == {"quantile": 0.8}


def test_it_measures_the_peaks_of_each_response(tokens):
    """Quantile 0.5 of 0.1 0.9 0.5 is 0.5, strictly above it 0.9; of 0.2 0.4 0.3 0.6 it is 0.35: 0.4, 0.6.

    Mean over responses of means: (0.9 + (0.4 + 0.6) / 2) / 2 = 0.7. Padding's 7.0 counts nowhere.
    """
    weights = measure_weights(siren(quantile=0.5), tokens)
    torch.testing.assert_close(weights, torch.tensor([[0, 1.0, 0, 0], [0, 0.5, 0, 0.5]]))
    assert ((weights * tokens.entropy).sum() / weights.sum()).item() == pytest.approx(0.7)


def test_the_published_quantile(tokens):
    """0.8 of 0.1 0.9 0.5: at place 1.6 of 0 1 2, 0.5 + 0.6 * 0.4 = 0.74; of the second row, at 2.4 of
    0 to 3, 0.4 + 0.4 * 0.2 = 0.48: one token above in each.
    """
    expected = torch.tensor([[0, 1.0, 0, 0], [0, 0, 0, 1.0]])
    torch.testing.assert_close(measure_weights(siren(), tokens), expected)


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


def test_a_batch_without_peaks_adds_nothing_and_measures_nothing(tokens, added):
    flat = replace(tokens, coef=0.2, band=(0.4, 0.4), entropy=torch.ones(2, 4, requires_grad=True))
    empty = replace(flat, mask=torch.zeros(2, 4))
    for batch in (flat, empty):
        assert measure_weights(siren(), batch).sum() == 0
        added(siren(), batch).backward()
    assert flat.entropy.grad.abs().max() == 0


def test_what_it_needs_is_named(tokens, added):
    with pytest.raises(InputError, match="needs a controller that aims at an entropy"):
        added(siren(controller={"name": "fixed", "coef": 0.1}), replace(tokens, coef=0.1))
    with pytest.raises(InputError, match=r"quantile=1.0 must be at least 0 and below 1"):
        siren(quantile=1.0)
