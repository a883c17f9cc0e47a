from dataclasses import replace

import pytest
import torch

from aent import Gate, InputError, Tokens, load_method


def tokens(advantages, **values):
    advantages = torch.tensor(advantages)
    return Tokens(
        **{
            "logp": -torch.ones_like(advantages),
            "old_logp": -torch.ones_like(advantages),
            "entropy": torch.ones_like(advantages),
            "full_entropy": torch.ones_like(advantages),
            "mask": torch.ones_like(advantages),
        }
        | values,
        advantages=advantages,
    )


SEEN = tokens(
    [[2.0] * 4, [-1.0] * 4],
    logp=-torch.tensor([[0.1, 3.0, 2.0, 9.0], [0.2, 0.3, 5.0, 4.0]]),
    mask=torch.tensor([[1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]]),
    coef=1.0,
)


def test_by_hand():
    """arXiv 2606.19236: weight W on the top share of surprisal among A > 0, M among A < 0, here half each.

    Three good tokens count (the last is padding), of which ceil(1.5) = 2: surprisals 3 and 2. Of the four
    bad ones, 5 and 4.
    """
    method = load_method({"name": "stare", "top": 0.5, "negative_weight": 0.5, "weight": 1.5})
    made = method.token_advantages(SEEN)
    assert made.tolist() == [[2.0, 3.0, 3.0, 2.0], [-1.0, -1.0, -0.5, -0.5]]


def test_it_seeks_the_largest_over_all_ranks():
    """The other rank holds a more surprising token than any here, so none of these is the top quarter."""
    seen = replace(SEEN, gather=lambda values: torch.cat([values, torch.tensor([7.0, 8.0])]))
    method = load_method({"name": "stare", "top": 0.25, "negative_weight": 0.5, "weight": 1.5})
    assert torch.equal(method.token_advantages(seen), seen.advantages)


def test_it_takes_part_in_gathering_without_a_token_of_its_own():
    called = []

    def gather(values):
        called.append(values.numel())
        return values

    method = load_method("stare")
    seen = replace(SEEN, advantages=torch.zeros(2, 4), gather=gather)
    assert torch.equal(method.token_advantages(seen), torch.zeros(2, 4))
    assert called == [0, 0]


def test_it_is_closed_at_or_above_its_target():
    method = load_method("stare")
    assert method.token_advantages(replace(SEEN, coef=0.0)) is SEEN.advantages


def test_it_counts_the_share_exactly():
    """0.28 * 25 is 7.000000000000001 in doubles; seven tokens, not eight."""
    seen = tokens([[1.0] * 25], logp=-torch.arange(25.0)[None], coef=1.0)
    made = load_method({"name": "stare", "weight": 2.0, "top": 0.28}).token_advantages(seen)
    assert made[0].tolist() == [1.0] * 18 + [2.0] * 7


def test_published_defaults():
    """W 1.1, M in O1 without effect, top 10%, H* 0.3 (authors' code and script)."""
    stare = load_method("stare")
    assert stare.controller == Gate(target=0.3)
    seen = tokens([[1.0] * 10, [-1.0] * 10], logp=-torch.arange(20.0).view(2, 10), coef=1.0)
    expected = seen.advantages.clone()
    expected[0, 9] = 1.1
    torch.testing.assert_close(stare.token_advantages(seen), expected)
    assert stare.parts == ("token_advantages", "controller")  # no bonus


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"top": 10.0}, r"top=10\.0 must be above 0 and at most 1 \(0\.1 for a tenth\)"),
        ({"top": 0.0}, r"top=0\.0 must be above 0 and at most 1"),
        ({"weight": -1.0}, r"weight=-1\.0 .*must be at least 0"),
        ({"negative_weight": -1.0}, r"negative_weight=-1\.0 must be at least 0"),
        ({"target": float("nan")}, "target=nan"),
    ],
)
def test_bad_arguments_say_what_is_allowed(arguments, message):
    with pytest.raises(InputError, match=message):
        load_method({"name": "stare", **arguments})
