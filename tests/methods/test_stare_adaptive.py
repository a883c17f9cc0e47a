from dataclasses import replace

import pytest
import torch

from aent import InputError, SignStep, load_method, token_advantages


def adaptive(**changes):
    return load_method({"name": "stare-adaptive", **changes})


@pytest.fixture
def surprising(tokens):
    """A good and a bad completion of ten tokens, the last of each the most surprising."""
    logp = -torch.arange(20.0).view(2, 10)
    advantages = torch.tensor([[1.0], [-1.0]]).expand(2, 10)
    return replace(
        tokens,
        logp=logp,
        old_logp=logp,
        entropy=-logp,
        advantages=advantages,
        mask=torch.ones(2, 10),
        coef=0.3,
    )


def test_published_defaults():
    """W 1.1 (M 0.9) by 0.01 within [1, 1.5] ([0.5, 1]), top 10%, H* 0.3 (authors' script)."""
    method = adaptive()
    assert method.controller == SignStep(level=0.1, target=0.3, delta=0.01, coef_min=0.0, coef_max=0.5)
    assert method.parts == ("token_advantages", "controller")


def test_by_hand(surprising):
    """x = 0.3: the one good token in ten weighs 1.3; with both, the bad one 0.7."""
    expected = surprising.advantages.clone()
    expected[0, 9] = 1.3
    torch.testing.assert_close(token_advantages(adaptive(), surprising), expected)
    expected[1, 9] = -0.7
    torch.testing.assert_close(token_advantages(adaptive(both=True), surprising), expected)


def test_the_weights_move_towards_the_target_and_act_below_it():
    """W: 1.1 -> 1.11 -> 1.12 -> 1.11 (above the target: not applied) -> 1.12."""
    controller = adaptive().controller
    assert [controller.update(entropy) for entropy in (0.2, 0.2, 0.4, 0.2)] == pytest.approx(
        [0.11, 0.12, 0.0, 0.12]
    )
    for _ in range(60):
        controller.update(0.2)
    assert controller.coef == 0.5


def test_at_or_above_the_target_nothing_is_reweighted(surprising):
    assert token_advantages(adaptive(), replace(surprising, coef=0.0)) is surprising.advantages


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"top": 0.0}, "top=0.0 must be above 0"),
        ({"most": 1.5}, "most=1.5 must be from 0 to 1"),
        ({"start": 0.6}, "coef=0.6 lies outside its box"),
        ({"step": -0.1}, "delta=-0.1 must not be negative"),
    ],
)
def test_bad_arguments_say_what_is_allowed(arguments, message):
    with pytest.raises(InputError, match=message):
        adaptive(**arguments)
