import math
from dataclasses import replace

import pytest
import torch

from aent import InputError, Tokens
from aent.methods.steer import entropy_change, steer

TOKENS = Tokens(
    logp=torch.tensor([[0.5, 0.25, 0.8], [0.5, 0.1, 1.0]], dtype=torch.float64).log(),
    old_logp=torch.tensor([[0.5, 0.5, 0.8], [0.25, 0.1, 1.0]], dtype=torch.float64).log(),
    entropy=torch.tensor([[1.0, 2.0, 0.5], [1.5, 0.25, 9.0]], dtype=torch.float64),
    full_entropy=torch.tensor([[1.0, 2.0, 0.5], [1.5, 0.25, 9.0]], dtype=torch.float64),
    advantages=torch.tensor([[1.0, 1.0, 1.0], [-2.0, -2.0, -2.0]], dtype=torch.float64),
    mask=torch.tensor([[1, 1, 1], [1, 1, 0]]),
)


def test_published_defaults():
    """The paper's exponential weight with the 0.8 of the authors' script; clipping 0.2 and 0.28."""
    assert steer.__kwdefaults__ == {
        "weight_min": 0.8, "weight_max": None, "floor": 0.0, "epsilon": 0.2, "epsilon_high": 0.28
    }  # fmt: skip
    assert steer().options == {"epsilon": 0.2, "epsilon_high": 0.28}


def test_entropy_change_by_hand():
    """abs(A / pi_old * pi (1 - pi) (log pi + H)).

    First row: 1 / 0.5 * 0.5 * 0.5 * (ln 0.5 + 1) = 0.5 * 0.3069;
    1 / 0.5 * 0.25 * 0.75 * (ln 0.25 + 2) = 0.375 * 0.6137; 1 / 0.8 * 0.8 * 0.2 * (ln 0.8 + 0.5) = 0.2 *
    0.2769. Second: 2 / 0.25 * 0.5 * 0.5 * (ln 0.5 + 1.5) = 2 * 0.8069; 2 * 0.9 * abs(ln 0.1 + 0.25) = 1.8 *
    2.0526. A certain token changes nothing.
    """
    expected = [[0.5 * 0.306853, 0.375 * 0.613706, 0.2 * 0.276856], [2 * 0.806853, 1.8 * 2.052585, 0.0]]
    torch.testing.assert_close(
        entropy_change(TOKENS), torch.tensor(expected, dtype=torch.float64), rtol=1e-5, atol=0
    )


def weights(method, tokens=TOKENS):
    return method.token_advantages(tokens) / tokens.advantages


def test_the_papers_weight_by_hand():
    """exp(log(0.8) |Omega| / 3.694653): the largest change weighs 0.8, 1.613706 weighs 0.8^0.436768 =
    0.907137 and 0.055371 weighs 0.8^0.014987 = 0.996661.
    """
    expected = {(1, 1): 0.8, (1, 0): 0.907137, (0, 2): 0.996661}
    made = weights(steer())
    for place, weight in expected.items():
        assert made[place].item() == pytest.approx(weight, abs=2e-6)


def test_the_scripts_floor_by_hand():
    """A floor of 5 above all changes: k = -log(0.8) / 5, so the largest weighs 0.8^(3.694653 / 5)."""
    assert weights(steer(floor=5.0))[1, 1].item() == pytest.approx(math.exp(math.log(0.8) * 3.694653 / 5))
    torch.testing.assert_close(weights(steer(floor=0.02)), weights(steer()))


def test_the_largest_change_is_that_of_all_ranks():
    """Another rank holds twice the largest change: here it weighs sqrt(0.8)."""
    beside = replace(TOKENS, gather=lambda values: torch.cat([values, 2 * values]))
    assert weights(steer(), beside)[1, 1].item() == pytest.approx(math.sqrt(0.8))


def test_the_linear_script_by_hand():
    """Changes of the tokens that count, from 0.05537 to 3.69465: the smallest weighs 1.2, the largest 0.8,
    1.613706 between them 1.2 - 0.4 * (1.613706 - 0.055371) / (3.694653 - 0.055371) = 1.028720.
    """
    made = weights(steer(weight_max=1.2))
    assert made[0, 2].item() == pytest.approx(1.2)
    assert made[1, 1].item() == pytest.approx(0.8)
    assert made[1, 0].item() == pytest.approx(1.028720, abs=1e-5)


def test_without_a_band_or_without_changes():
    for off in (steer(weight_min=1.0), steer(weight_min=1.0, weight_max=1.0)):
        assert torch.equal(off.token_advantages(TOKENS), TOKENS.advantages)
    # nothing changes anything: weight 1, or the middle of the linear band, and no NaN
    flat = replace(TOKENS, advantages=torch.zeros(2, 3))
    assert torch.equal(steer().token_advantages(flat), flat.advantages)
    same = replace(TOKENS, full_entropy=-TOKENS.logp)
    torch.testing.assert_close(steer(weight_min=0.5).token_advantages(same), TOKENS.advantages)
    linear = steer(weight_min=0.5, weight_max=1.2)
    torch.testing.assert_close(linear.token_advantages(same), 0.85 * TOKENS.advantages)


def test_a_batch_without_tokens_is_left_alone():
    empty = replace(TOKENS, mask=torch.zeros(2, 3))
    assert torch.equal(steer().token_advantages(empty), TOKENS.advantages)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight_min": 0.0}, "weight_min=0.0 must be above 0 and at most 1"),
        ({"weight_min": 1.2}, "weight_min=1.2 must be above 0 and at most 1"),
        ({"weight_min": -0.1, "weight_max": 1.2}, "weight_min=-0.1: give a finite number, at least 0"),
        ({"weight_max": 0.7}, "weight_max=0.7: give a finite number, at least 0.8"),
        ({"floor": -1.0}, "floor=-1.0: give a finite number, at least 0"),
        ({"weight_max": math.inf}, "weight_max=inf: give a finite number"),
    ],
)
def test_bad_arguments_say_what_is_allowed(arguments, message):
    with pytest.raises(InputError, match=message):
        steer(**arguments)
