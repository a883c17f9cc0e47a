from dataclasses import replace

import pytest
import torch

from aent import InputError, Tokens, clip_edges, load_method
from aent.methods.bapo import bapo, contributions


def batch(ratio, advantages, **changes):
    ratio = torch.tensor([ratio], dtype=torch.float64)
    return Tokens(
        **{
            "logp": ratio.log() - 1,
            "old_logp": torch.full_like(ratio, -1.0),
            "entropy": torch.zeros_like(ratio),
            "full_entropy": torch.zeros_like(ratio),
            "advantages": torch.tensor([advantages], dtype=torch.float64),
            "mask": torch.ones_like(ratio),
        }
        | changes
    )


def bounds(tokens, **changes):
    """The bounds of the ratio that the search ends with."""
    low, high = clip_edges(load_method({"name": "bapo", **changes}), tokens)
    return 1 - low, 1 + high


def test_published_defaults():
    """0.6 to 0.8, then 1.2 to 2.0, by 0.05, to a balance of 1 (the authors' code)."""
    assert bapo.__kwdefaults__ == {
        "low": 0.6, "low_end": 0.8, "high": 1.2, "high_end": 2.0, "step": 0.05, "balance": 1.0
    }  # fmt: skip
    assert bapo().parts == ("clip",)


def test_contributions_by_hand():
    """Good: min(3, 1.2) * 2 + 0.5 * 1 = 2.9. Bad: max(0.1, 0.6) * 1 + 1.5 * 2 = 3.6. A = 0 counts nowhere."""
    ratio, advantages = torch.tensor([3.0, 0.5, 0.1, 1.5, 9.0]), torch.tensor([2.0, 1.0, -1.0, -2.0, 0.0])
    good, bad = contributions(ratio, advantages, 0.6, 1.2)
    assert (good.item(), bad.item()) == pytest.approx((2.9, 3.6))


def test_a_balanced_batch_keeps_the_first_bounds():
    assert bounds(batch([1.0, 1.0], [1.0, -1.0])) == pytest.approx((0.6, 1.2))


def test_the_lower_bound_rises_first_though_that_adds_to_the_bad():
    """Good min(3, c) * 1, bad max(0.5, c_low) * 1.5: 1.2 < 0.9, so enough at once; with bad advantages of 2.5
    1.2 < 1.5, ..., 2.0 at c_low 0.8. Then 1.25 to 1.95 are still less than 2.0, and c_high ends at 2.0.
    """
    assert bounds(batch([3.0, 0.5], [1.0, -1.5])) == pytest.approx((0.6, 1.2))
    assert bounds(batch([3.0, 0.5], [1.0, -2.5])) == pytest.approx((0.8, 2.0))


def test_the_upper_bound_stops_where_the_balance_is_reached():
    """Bad 0.8 * 1.7 = 1.36 at the last lower bound, good c_high: 1.35 is too little, 1.4 enough. On the way,
    1.2 >= 0.6 * 1.7 = 1.02 would be enough at once; a balance of 1.2 asks for 1.224 there, 1.632 at 0.8,
    which 1.65 reaches.
    """
    seen = batch([3.0, 0.5], [1.0, -1.7])
    assert bounds(seen) == pytest.approx((0.6, 1.2))
    assert bounds(seen, balance=1.2) == pytest.approx((0.8, 1.65))
    assert bounds(batch([3.0, 0.5], [1.0, -2.05])) == pytest.approx((0.8, 1.65))  # 0.8 * 2.05 = 1.64


def test_the_sums_are_of_the_unmasked_tokens_of_all_ranks():
    """Another rank holds a good token of ratio 1: 1.2 + 1 is enough for 1.5."""
    seen = batch([3.0, 0.5, 1.0], [1.0, -2.5, 9.0], mask=torch.tensor([[1.0, 1.0, 0.0]]))
    assert bounds(seen) == pytest.approx((0.8, 2.0))
    values = iter([torch.tensor([1.0]), torch.tensor([1.0])])  # its ratio, its advantage
    beside = replace(seen, gather=lambda mine: torch.cat([mine, next(values).double()]))
    assert bounds(beside) == pytest.approx((0.6, 1.2))


def test_steps_that_do_not_divide_the_range_end_at_its_end():
    assert bounds(batch([9.0, 0.5], [1.0, -9.0]), step=0.15) == pytest.approx((0.8, 2.0))


def test_a_batch_without_bad_tokens_keeps_the_first_bounds():
    assert bounds(batch([1.0], [1.0])) == pytest.approx((0.6, 1.2))
    empty = batch([1.0], [-1.0], mask=torch.zeros(1, 1))
    assert bounds(empty) == pytest.approx((0.6, 1.2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 0.9}, "low=0.9, low_end=0.8"),
        ({"high": 0.5}, "0 <= low <= low_end <= 1 <= high <= high_end"),
        ({"step": 0.0}, "step=0.0 must be above 0"),
        ({"balance": -1.0}, "balance=-1.0 at least 0"),
    ],
)
def test_bad_arguments_say_what_is_allowed(arguments, message):
    with pytest.raises(InputError, match=message):
        bapo(**arguments)


def test_the_bounds_may_meet():
    bapo(low=0.0, low_end=0.0, high=1.0, high_end=1.0)
    bapo(low=1.0, low_end=1.0, high=1.2, high_end=1.2, balance=0.0)
