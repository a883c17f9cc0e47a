from dataclasses import replace

import pytest
import torch

from aent import PI, InputError, load_method

ENTROPIC = load_method("entropic")


def test_published_defaults():
    """arXiv 2511.15248, the authors' code and script."""
    assert ENTROPIC.controller == PI(target=0.1, kp=1.0, ki=0.01, coef_min=-1.0, coef_max=1.0)
    assert ENTROPIC.penalty.keywords == {"probability": 0.95}
    assert ENTROPIC.parts == ("penalty", "controller")  # no bonus


def test_by_hand(tokens, added):
    """a * mean(-r |A|) over the tokens above 0.95: three of them in two rows, the fourth is padding.

    pi     r              |A|   r |A|
    0.97   1              2     2
    0.99   0.99 / 0.90    2     2.2
    0.96   0.96 / 0.80    1     1.2
    0.999  1              1     1
    mean -6.4 / 4 = -1.6; at a = -0.5 (entropy too low) the loss grows by 0.8.
    """
    logp = tokens.logp.clone().requires_grad_()
    loss = added(ENTROPIC, replace(tokens, coef=-0.5, logp=logp))
    assert loss.item() == pytest.approx(0.8)
    loss.backward()
    # d/d logp of a * (-r |A|) / 4 is the term itself, as r = exp(logp - old_logp)
    expected = torch.tensor([[2.0, 0, 2.2, 0], [1.2, 0, 0, 1.0]]) * 0.5 / 4
    torch.testing.assert_close(logp.grad, expected)


def test_gradients_in_float64(check_gradients):
    check_gradients(load_method({"name": "entropic", "probability": 0.1}))


def test_without_probable_tokens_it_adds_nothing(tokens, added):
    rare = tokens.logp - 3
    assert added(ENTROPIC, replace(tokens, coef=-0.5, logp=rare, old_logp=rare)).item() == 0


@pytest.mark.parametrize("probability", [-0.1, 1.0])
def test_a_bad_threshold_is_named(probability):
    with pytest.raises(InputError, match=f"probability={probability} must be at least 0 and below 1"):
        load_method({"name": "entropic", "probability": probability})
