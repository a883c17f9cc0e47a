from dataclasses import replace

import pytest

from aent import InputError, Steps, clip_edges, load_method


def mai(**changes):
    return load_method({"name": "mai-clip", **changes})


def test_defaults():
    """e 0.6, d 0.25, k_max 2.5, H* 0.3."""
    method = mai()
    assert method.controller == Steps(coef=0.0, target=0.3, delta=0.25, coef_min=0.0, coef_max=2.5)
    assert method.parts == ("clip", "controller")


def test_the_range_by_hand(tokens):
    """[1 - 0.6, 1 / 0.4 + k] = [0.4, 2.5] at k = 0 and [0.4, 5] at the widest."""
    for k, upper in ((0.0, 2.5), (0.75, 3.25), (2.5, 5.0)):
        low, high = clip_edges(mai(), replace(tokens, coef=k))
        assert (1 - low, 1 + high) == pytest.approx((0.4, upper))
    low, high = clip_edges(mai(epsilon=0.2), replace(tokens, coef=0.1))
    assert (1 - low, 1 + high) == pytest.approx((0.8, 1.35))


def test_the_range_widens_below_the_target():
    """Three windows below 0.3, one at it, two above: k = 0.75, 0.75, 0.25."""
    controller = mai().controller
    moves = [controller.update(entropy) for entropy in (0.2, 0.1, 0.29, 0.3, 0.31, 5.0)]
    assert moves == pytest.approx([0.25, 0.5, 0.75, 0.75, 0.5, 0.25])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epsilon": 1.0}, r"epsilon=1.0 must be at least 0 and below 1"),
        ({"delta": -0.1}, "delta=-0.1 must not be negative"),
        ({"widest": -1.0}, "outside its box"),
    ],
)
def test_bad_arguments_say_what_is_allowed(arguments, message):
    with pytest.raises(InputError, match=message):
        mai(**arguments)
